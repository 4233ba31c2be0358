#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/status.h"

namespace pqxx {
class result;
class transaction_base;
}  // namespace pqxx

namespace ddpt {

// A row of PostgresRows, with columns 0, 1, .... Must not outlive them.
class PostgresRow {
 public:
  PostgresRow(const pqxx::result& rows, size_t number) : rows_(rows), number_(number) {}

  bool IsNull(int column) const;
  int64_t Int(int column) const;    // 0 for NULL
  double Double(int column) const;  // 0 for NULL
  // The bytes of a text or a BYTEA; "" for NULL.
  std::string Text(int column) const;

 private:
  const pqxx::result& rows_;
  const size_t number_;
};

// What a statement has given.
class PostgresRows {
 public:
  explicit PostgresRows(const pqxx::result& result);
  size_t size() const;
  bool empty() const { return size() == 0; }
  PostgresRow operator[](size_t row) const { return {*result_, row}; }

 private:
  std::shared_ptr<const pqxx::result> result_;
};

// A parameter that is a BYTEA; texts hold no zero bytes and nothing that is not UTF-8.
struct PostgresBytes {
  std::string_view bytes;
};

// A transaction at the isolation level READ COMMITTED. Not thread-safe.
class PostgresTransaction {
 public:
  // The rows that the statement gives, with `values` (integers of 64 bits, doubles, texts,
  // PostgresBytes) as its parameters $1, $2, .... After an error all further ones fail.
  template <typename... Values>
  absl::StatusOr<PostgresRows> Query(std::string_view sql, const Values&... values) {
    return Execute(sql, {ToText(values)...});
  }
  template <typename... Values>
  absl::Status Run(std::string_view sql, const Values&... values) {
    return Query(sql, values...).status();
  }
  // The first column of the first row; 0 where there is no row or it is NULL.
  template <typename... Values>
  absl::StatusOr<int64_t> QueryInt(std::string_view sql, const Values&... values) {
    DDPT_ASSIGN_OR_RETURN(const PostgresRows rows, Query(sql, values...));
    return rows.empty() ? 0 : rows[0].Int(0);
  }
  // Any number of statements without parameters.
  absl::Status Exec(std::string_view sql);

 private:
  friend class PostgresDatabase;
  PostgresTransaction(const std::string& address, pqxx::transaction_base& transaction)
      : address_(address), transaction_(transaction) {}
  absl::StatusOr<PostgresRows> Execute(std::string_view sql,
                                       const std::vector<std::string>& values);
  static std::string ToText(int64_t value);
  static std::string ToText(uint64_t value) { return ToText(static_cast<int64_t>(value)); }
  static std::string ToText(double value);
  static std::string ToText(std::string_view value) { return std::string(value); }
  static std::string ToText(const PostgresBytes& value);

  const std::string& address_;
  pqxx::transaction_base& transaction_;
  bool repeat_ = false;  // nothing of it has happened, and it may go well another time
};

// FieldError "database" where libpq cannot read a URL, which is not quoted: it may hold a password.
absl::Status CheckPostgresUrl(const std::string& url);

// A PostgreSQL database over a bounded number of connections, which are made again after they
// broke. Thread-safe. All calls block, for at most the times of Options each.
//
// Errors name the database's address: UNAVAILABLE (not reached, or too slow), RESOURCE_EXHAUSTED
// (disk full), PERMISSION_DENIED, DATA_LOSS, ALREADY_EXISTS (a constraint), else INTERNAL. None
// holds the password.
class PostgresDatabase {
 public:
  struct Options {
    std::string url = {};  // "postgresql://USER:PASSWORD@HOST:PORT/NAME?sslmode=..."; see libpq
    size_t connections = 8;
    std::chrono::seconds connect_timeout{5};  // and for a connection to become free
    std::chrono::milliseconds statement_timeout{15'000};
  };

  // Connects, and brings the tables that all components share to their version. Errors of
  // CheckPostgresUrl besides.
  static absl::StatusOr<std::unique_ptr<PostgresDatabase>> Open(const Options& options);
  ~PostgresDatabase();

  // As SqliteDatabase::Migrate; of servers that start at the same time one does it.
  absl::Status Migrate(std::string_view component, std::span<const std::string_view> steps);

  // Runs `body` in a transaction that is committed where it returns OK. It runs again where the
  // connection turned out to be broken or the transaction was in the way of another. UNAVAILABLE
  // after a broken commit, of which nobody knows whether it happened.
  absl::Status Transaction(const std::function<absl::Status(PostgresTransaction&)>& body);

  // "HOST:PORT/NAME".
  const std::string& address() const { return address_; }
  // For a connection of one's own; holds the password.
  const std::string& connection_string() const { return connection_string_; }

 private:
  struct Connection;
  PostgresDatabase(const Options& options, std::string address, std::string connection_string);
  absl::StatusOr<std::unique_ptr<Connection>> Acquire();
  absl::StatusOr<std::unique_ptr<Connection>> Connect();
  void Release(std::unique_ptr<Connection> connection);

  const Options options_;
  const std::string address_;
  const std::string connection_string_;

  std::mutex mutex_;
  std::condition_variable freed_;
  // Guarded by mutex_:
  std::vector<std::unique_ptr<Connection>> idle_;
  size_t in_use_ = 0;
  std::chrono::milliseconds backoff_{0};            // after the last failure to connect
  std::chrono::steady_clock::time_point next_try_;  // to connect
  absl::Status last_failure_;
};

// Tells the other servers on the database, once the transaction is committed, that the `kind`
// ("tasks", "jobs") called `name` has changed.
absl::Status TellOthers(PostgresTransaction& transaction, std::string_view kind,
                        std::string_view name);

// The channel of TellOthers; payloads are "KIND NAME".
inline constexpr char kPostgresChannel[] = "ddpt";

}  // namespace ddpt
