#include "core/registry/sqlite_database.h"

#include <sqlite3.h>

#include <cerrno>
#include <limits>

#include "absl/strings/str_cat.h"

namespace ddpt {
namespace {

constexpr int kBusyTimeoutMillis = 10'000;

absl::StatusCode CodeOf(int result, int system_error) {
  switch (result & 0xff) {
    case SQLITE_FULL:
      return absl::StatusCode::kResourceExhausted;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
      return system_error == ENOSPC || system_error == EDQUOT ? absl::StatusCode::kResourceExhausted
                                                              : absl::StatusCode::kUnavailable;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::StatusCode::kUnavailable;
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return absl::StatusCode::kPermissionDenied;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::StatusCode::kDataLoss;
    case SQLITE_CONSTRAINT:
      return absl::StatusCode::kAlreadyExists;
    default:
      return absl::StatusCode::kInternal;
  }
}

absl::Status ErrorOf(sqlite3* connection) {
  const int result = sqlite3_extended_errcode(connection);
  const char* path = sqlite3_db_filename(connection, "main");
  return {CodeOf(result, sqlite3_system_errno(connection)),
          absl::StrCat("database ", path == nullptr ? "" : path, ": ", sqlite3_errmsg(connection),
                       " (SQLite error ", result, ")")};
}

}  // namespace

void SqliteStatement::Finalizer::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

void SqliteDatabase::Closer::operator()(sqlite3* connection) const { sqlite3_close(connection); }

absl::StatusOr<bool> SqliteStatement::Step() {
  const int result = sqlite3_step(statement_.get());
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) return false;
  return ErrorOf(sqlite3_db_handle(statement_.get()));
}

bool SqliteStatement::IsNull(int column) const {
  return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

int64_t SqliteStatement::Int(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

double SqliteStatement::Double(int column) const {
  if (IsNull(column)) return std::numeric_limits<double>::quiet_NaN();
  return sqlite3_column_double(statement_.get(), column);
}

std::string SqliteStatement::Text(int column) const {
  const unsigned char* text = sqlite3_column_text(statement_.get(), column);
  const int length = sqlite3_column_bytes(statement_.get(), column);
  return text == nullptr ? "" : std::string(reinterpret_cast<const char*>(text), length);
}

absl::Status SqliteStatement::Bind(int parameter, int64_t value) {
  if (sqlite3_bind_int64(statement_.get(), parameter, value) == SQLITE_OK) return absl::OkStatus();
  return ErrorOf(sqlite3_db_handle(statement_.get()));
}

absl::Status SqliteStatement::Bind(int parameter, double value) {
  if (sqlite3_bind_double(statement_.get(), parameter, value) == SQLITE_OK) return absl::OkStatus();
  return ErrorOf(sqlite3_db_handle(statement_.get()));
}

absl::Status SqliteStatement::Bind(int parameter, std::string_view value) {
  const char* text = value.data() == nullptr ? "" : value.data();
  if (sqlite3_bind_text64(statement_.get(), parameter, text, value.size(), SQLITE_TRANSIENT,
                          SQLITE_UTF8) == SQLITE_OK) {
    return absl::OkStatus();
  }
  return ErrorOf(sqlite3_db_handle(statement_.get()));
}

absl::StatusOr<std::unique_ptr<SqliteDatabase>> SqliteDatabase::Open(const std::string& path) {
  constexpr int kFlags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  sqlite3* connection = nullptr;
  const int result = sqlite3_open_v2(path.c_str(), &connection, kFlags, nullptr);
  if (connection == nullptr) return absl::ResourceExhaustedError("no memory for a connection");
  std::unique_ptr<SqliteDatabase> database(new SqliteDatabase(connection));
  if (result != SQLITE_OK) return Annotate(ErrorOf(connection), path);
  sqlite3_extended_result_codes(connection, 1);
  sqlite3_busy_timeout(connection, kBusyTimeoutMillis);
  DDPT_RETURN_IF_ERROR(database->Exec(
      "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"));
  return database;
}

absl::Status SqliteDatabase::Migrate(std::string_view component,
                                     std::span<const std::string_view> steps) {
  DDPT_RETURN_IF_ERROR(
      Exec("CREATE TABLE IF NOT EXISTS schema_versions ("
           "component TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID"));
  DDPT_ASSIGN_OR_RETURN(
      const int64_t found,
      QueryInt("SELECT version FROM schema_versions WHERE component = ?", component));
  if (found > static_cast<int64_t>(steps.size())) {
    return absl::FailedPreconditionError(
        absl::StrCat("database ", sqlite3_db_filename(connection_.get(), "main"), ": its ",
                     Piece(component), " tables are of version ", found,
                     ", newer than the version ", steps.size(), " known here"));
  }
  for (size_t step = static_cast<size_t>(found); step < steps.size(); ++step) {
    DDPT_RETURN_IF_ERROR(Transaction([&]() -> absl::Status {
      DDPT_RETURN_IF_ERROR(Exec(std::string(steps[step])));
      return Run("INSERT OR REPLACE INTO schema_versions VALUES (?, ?)", component,
                 uint64_t{step + 1});
    }));
  }
  return absl::OkStatus();
}

absl::Status SqliteDatabase::Exec(const std::string& sql) {
  if (sqlite3_exec(connection_.get(), sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK) {
    return absl::OkStatus();
  }
  return ErrorOf(connection_.get());
}

absl::StatusOr<SqliteStatement> SqliteDatabase::Compile(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(connection_.get(), sql.data(), static_cast<int>(sql.size()), &statement,
                         nullptr) != SQLITE_OK) {
    return ErrorOf(connection_.get());
  }
  return SqliteStatement(statement);
}

absl::Status SqliteDatabase::Transaction(const std::function<absl::Status()>& body) {
  DDPT_RETURN_IF_ERROR(Exec("BEGIN IMMEDIATE"));
  absl::Status status = body();
  if (status.ok()) status = Exec("COMMIT");
  if (!status.ok() && !sqlite3_get_autocommit(connection_.get())) {
    Exec("ROLLBACK").IgnoreError();
  }
  return status;
}

}  // namespace ddpt
