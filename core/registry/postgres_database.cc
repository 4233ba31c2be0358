#include "core/registry/postgres_database.h"

#include <libpq-fe.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <pqxx/pqxx>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"

namespace ddpt {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kFirstBackoff{100};
constexpr milliseconds kLastBackoff{2'000};
constexpr int kAttempts = 4;
constexpr unsigned kByteaType = 17;  // in the catalogue of every database
constexpr int64_t kMigrationLock = 0x64647074;

// What the components share. `revisions` count changes, for those who missed a notification; their
// rows also are what writers of one kind wait at.
constexpr std::string_view kMigrations[] = {
    R"(CREATE FUNCTION ddpt_now() RETURNS BIGINT LANGUAGE sql VOLATILE AS
         'SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::BIGINT';
       CREATE TABLE revisions (kind TEXT PRIMARY KEY, number BIGINT NOT NULL);
       INSERT INTO revisions VALUES ('tasks', 0), ('jobs', 0);
       CREATE TABLE blobs (
         name TEXT NOT NULL,
         part BIGINT NOT NULL,
         bytes BYTEA NOT NULL,
         PRIMARY KEY (name, part));
       ALTER TABLE blobs ALTER COLUMN bytes SET STORAGE EXTERNAL;)",
};

absl::StatusCode CodeOf(const std::string& state) {
  const auto is = [&](absl::string_view prefix) { return absl::StartsWith(state, prefix); };
  if (is("53300") || is("08") || is("57") || is("40") || is("55") || is("25006"))
    return absl::StatusCode::kUnavailable;
  if (is("53")) return absl::StatusCode::kResourceExhausted;
  if (is("28") || is("42501")) return absl::StatusCode::kPermissionDenied;
  if (is("23")) return absl::StatusCode::kAlreadyExists;
  if (is("XX001") || is("XX002")) return absl::StatusCode::kDataLoss;
  return absl::StatusCode::kInternal;
}

absl::Status ErrorOf(absl::StatusCode code, const std::string& address, const char* what) {
  const absl::string_view text = absl::StripAsciiWhitespace(what);
  return {code,
          absl::StrCat("database ", address, ": ", absl::StrReplaceAll(text, {{"\n", "; "}}))};
}

// Where `action` throws: its error, and whether that is a reason to do all again.
absl::Status Guarded(const std::string& address, bool& repeat,
                     const std::function<void()>& action) {
  try {
    action();
    return absl::OkStatus();
  } catch (const pqxx::in_doubt_error& error) {
    return ErrorOf(absl::StatusCode::kUnavailable, address, error.what());
  } catch (const pqxx::broken_connection& error) {
    repeat = true;
    return ErrorOf(absl::StatusCode::kUnavailable, address, error.what());
  } catch (const pqxx::statement_completion_unknown& error) {
    return ErrorOf(absl::StatusCode::kUnavailable, address, error.what());
  } catch (const pqxx::transaction_rollback& error) {  // serialisation, deadlock
    repeat = true;
    return ErrorOf(absl::StatusCode::kUnavailable, address, error.what());
  } catch (const pqxx::sql_error& error) {
    const std::string& state = error.sqlstate();
    // Shutdown and start of the server, serialisation and deadlock.
    repeat = absl::StartsWith(state, "57P") || absl::StartsWith(state, "40") ||
             absl::StartsWith(state, "08");
    return ErrorOf(CodeOf(state), address, error.what());
  } catch (const std::exception& error) {
    return ErrorOf(absl::StatusCode::kInternal, address, error.what());
  }
}

using Settings = std::map<std::string, std::string>;

absl::StatusOr<Settings> ParseUrl(const std::string& url) {
  if (!absl::StartsWith(url, "postgresql://") && !absl::StartsWith(url, "postgres://")) {
    return FieldError("database", "is not postgresql://USER:PASSWORD@HOST:PORT/NAME");
  }
  // libpq's reason may quote the URL, and with it the password.
  const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options(
      PQconninfoParse(url.c_str(), nullptr), PQconninfoFree);
  if (!options) return FieldError("database", "is no connection URL that libpq can read");
  Settings settings;
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
    if (option->val != nullptr) settings[option->keyword] = option->val;
  }
  return settings;
}

std::string AddressOf(const Settings& settings) {
  const auto value = [&](const char* name, const char* otherwise) {
    const auto found = settings.find(name);
    return found == settings.end() ? otherwise : found->second;
  };
  return absl::StrCat(value("host", "localhost"), ":", value("port", "5432"), "/",
                      value("dbname", ""));
}

// With what keeps every wait short, unless the URL says otherwise.
std::string ConnectionString(Settings settings, const PostgresDatabase::Options& options) {
  const milliseconds statement = options.statement_timeout;
  settings.emplace("application_name", "ddpt-server");
  settings.emplace("connect_timeout", absl::StrCat(options.connect_timeout.count()));
  settings.emplace("tcp_user_timeout", absl::StrCat(statement.count()));
  settings.emplace("keepalives_idle", "10");
  settings.emplace("keepalives_interval", "5");
  settings.emplace("keepalives_count", "3");
  settings["options"] =
      absl::StrCat("-c statement_timeout=", statement.count(),
                   " -c idle_in_transaction_session_timeout=", 2 * statement.count(),
                   " -c client_min_messages=warning -c bytea_output=hex",
                   " -c default_transaction_isolation=read\\ committed ", settings["options"]);
  std::string text;
  for (const auto& [name, value] : settings) {
    absl::StrAppend(&text, name, "='", absl::StrReplaceAll(value, {{"\\", "\\\\"}, {"'", "\\'"}}),
                    "' ");
  }
  return text;
}

}  // namespace

bool PostgresRow::IsNull(int column) const { return rows_[number_][column].is_null(); }

int64_t PostgresRow::Int(int column) const {
  return rows_[number_][column].is_null() ? 0 : rows_[number_][column].as<int64_t>();
}

double PostgresRow::Double(int column) const {
  double value = 0;
  if (!IsNull(column)) static_cast<void>(absl::SimpleAtod(rows_[number_][column].c_str(), &value));
  return value;
}

std::string PostgresRow::Text(int column) const {
  const auto field = rows_[number_][column];
  const std::string text(field.c_str(), field.size());
  if (field.type() != kByteaType) return text;
  return absl::HexStringToBytes(absl::StripPrefix(text, "\\x"));
}

PostgresRows::PostgresRows(const pqxx::result& result)
    : result_(std::make_shared<const pqxx::result>(result)) {}

size_t PostgresRows::size() const { return static_cast<size_t>(result_->size()); }

std::string PostgresTransaction::ToText(int64_t value) { return absl::StrCat(value); }

std::string PostgresTransaction::ToText(double value) {
  char text[64];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

std::string PostgresTransaction::ToText(const PostgresBytes& value) {
  return absl::StrCat("\\x", absl::BytesToHexString(Piece(value.bytes)));
}

absl::Status CheckPostgresUrl(const std::string& url) { return ParseUrl(url).status(); }

absl::StatusOr<PostgresRows> PostgresTransaction::Execute(std::string_view sql,
                                                          const std::vector<std::string>& values) {
  pqxx::result result;
  DDPT_RETURN_IF_ERROR(Guarded(address_, repeat_, [&] {
#if PQXX_VERSION_MAJOR < 7
    result = transaction_.exec_params(std::string(sql), pqxx::prepare::make_dynamic_params(values));
#else
    pqxx::params params;
    params.append_multi(values);
    result = transaction_.exec_params(std::string(sql), params);
#endif
  }));
  return PostgresRows(result);
}

absl::Status PostgresTransaction::Exec(std::string_view sql) {
  return Guarded(address_, repeat_, [&] { transaction_.exec(std::string(sql)); });
}

struct PostgresDatabase::Connection {
  explicit Connection(const std::string& text) : pqxx(text) {}
  pqxx::connection pqxx;
};

PostgresDatabase::PostgresDatabase(const Options& options, std::string address,
                                   std::string connection_string)
    : options_(options),
      address_(std::move(address)),
      connection_string_(std::move(connection_string)) {}

PostgresDatabase::~PostgresDatabase() = default;

absl::StatusOr<std::unique_ptr<PostgresDatabase>> PostgresDatabase::Open(const Options& options) {
  DDPT_ASSIGN_OR_RETURN(const Settings settings, ParseUrl(options.url));
  std::unique_ptr<PostgresDatabase> database(
      new PostgresDatabase(options, AddressOf(settings), ConnectionString(settings, options)));
  DDPT_RETURN_IF_ERROR(database->Migrate("shared", kMigrations));
  return database;
}

absl::Status PostgresDatabase::Migrate(std::string_view component,
                                       std::span<const std::string_view> steps) {
  return Transaction([&](PostgresTransaction& transaction) -> absl::Status {
    DDPT_RETURN_IF_ERROR(transaction.Run("SELECT pg_advisory_xact_lock($1)", kMigrationLock));
    DDPT_RETURN_IF_ERROR(
        transaction.Exec("CREATE TABLE IF NOT EXISTS schema_versions ("
                         "component TEXT PRIMARY KEY, version BIGINT NOT NULL)"));
    DDPT_ASSIGN_OR_RETURN(
        const int64_t found,
        transaction.QueryInt("SELECT version FROM schema_versions WHERE component = $1",
                             component));
    if (found > static_cast<int64_t>(steps.size())) {
      return absl::FailedPreconditionError(
          absl::StrCat("database ", address_, ": its ", Piece(component), " tables are of version ",
                       found, ", newer than the version ", steps.size(), " known here"));
    }
    for (size_t step = static_cast<size_t>(found); step < steps.size(); ++step) {
      DDPT_RETURN_IF_ERROR(transaction.Exec(steps[step]));
    }
    return transaction.Run(
        "INSERT INTO schema_versions VALUES ($1, $2)"
        " ON CONFLICT (component) DO UPDATE SET version = EXCLUDED.version",
        component, uint64_t{steps.size()});
  });
}

absl::Status PostgresDatabase::Transaction(
    const std::function<absl::Status(PostgresTransaction&)>& body) {
  for (int attempt = 1;; ++attempt) {
    DDPT_ASSIGN_OR_RETURN(std::unique_ptr<Connection> connection, Acquire());
    bool repeat = false;
    absl::Status ended;
    absl::Status status = Guarded(address_, repeat, [&] {
      pqxx::work work(connection->pqxx);
      PostgresTransaction transaction(address_, work);
      ended = body(transaction);
      repeat = transaction.repeat_;
      if (ended.ok()) work.commit();
    });
    if (status.ok()) status = ended;
    Release(std::move(connection));
    if (!repeat || attempt == kAttempts) return status;
  }
}

absl::StatusOr<std::unique_ptr<PostgresDatabase::Connection>> PostgresDatabase::Acquire() {
  std::unique_lock lock(mutex_);
  if (!freed_.wait_for(lock, options_.connect_timeout,
                       [this] { return in_use_ < options_.connections; })) {
    return absl::UnavailableError(absl::StrCat("database ", address_, ": all ",
                                               options_.connections, " connections are in use"));
  }
  if (idle_.empty() && steady_clock::now() < next_try_) return last_failure_;
  ++in_use_;
  if (!idle_.empty()) {
    auto connection = std::move(idle_.back());
    idle_.pop_back();
    return connection;
  }
  lock.unlock();
  auto connection = Connect();
  if (!connection.ok()) Release(nullptr);
  return connection;
}

absl::StatusOr<std::unique_ptr<PostgresDatabase::Connection>> PostgresDatabase::Connect() {
  std::unique_ptr<Connection> connection;
  bool repeat = false;
  absl::Status status = Guarded(
      address_, repeat, [&] { connection = std::make_unique<Connection>(connection_string_); });
  // Whatever the reason (a wrong password among them): another time it may be another.
  if (!status.ok()) status = absl::UnavailableError(status.message());
  std::lock_guard lock(mutex_);
  backoff_ = status.ok() ? milliseconds(0) : std::clamp(2 * backoff_, kFirstBackoff, kLastBackoff);
  next_try_ = steady_clock::now() + backoff_;
  last_failure_ = status;
  if (!status.ok()) return status;
  return connection;
}

void PostgresDatabase::Release(std::unique_ptr<Connection> connection) {
  std::vector<std::unique_ptr<Connection>> broken;  // closed without the lock
  std::lock_guard lock(mutex_);
  --in_use_;
  if (connection && connection->pqxx.is_open()) {
    idle_.push_back(std::move(connection));
  } else {
    broken.swap(idle_);  // most likely they are, too
    broken.push_back(std::move(connection));
  }
  freed_.notify_one();
}

absl::Status TellOthers(PostgresTransaction& transaction, std::string_view kind,
                        std::string_view name) {
  DDPT_RETURN_IF_ERROR(
      transaction.Run("UPDATE revisions SET number = number + 1 WHERE kind = $1", kind));
  return transaction.Run("SELECT pg_notify($1, $2)", std::string_view(kPostgresChannel),
                         std::string_view(absl::StrCat(Piece(kind), " ", Piece(name))));
}

}  // namespace ddpt
