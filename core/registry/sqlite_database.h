#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/status.h"

struct sqlite3;
struct sqlite3_stmt;

namespace ddpt {

// A prepared statement: bind the parameters 1, 2, ..., step through the rows, read the columns
// 0, 1, .... Must not outlive its database. Not thread-safe.
class SqliteStatement {
 public:
  // True: on a row. False: done. An error leaves the database usable.
  absl::StatusOr<bool> Step();

  bool IsNull(int column) const;
  int64_t Int(int column) const;
  // Not a number for NULL, which is how SQLite stores it.
  double Double(int column) const;
  // A copy of the text; "" for NULL.
  std::string Text(int column) const;

 private:
  friend class SqliteDatabase;
  struct Finalizer {
    void operator()(sqlite3_stmt* statement) const;
  };
  explicit SqliteStatement(sqlite3_stmt* statement) : statement_(statement) {}

  template <typename... Values>
  absl::Status BindAll(const Values&... values) {
    absl::Status status;
    int parameter = 0;
    (status.Update(Bind(++parameter, values)), ...);
    return status;
  }
  absl::Status Bind(int parameter, int64_t value);
  absl::Status Bind(int parameter, uint64_t value) {
    return Bind(parameter, static_cast<int64_t>(value));
  }
  absl::Status Bind(int parameter, double value);
  absl::Status Bind(int parameter, std::string_view value);

  std::unique_ptr<sqlite3_stmt, Finalizer> statement_;
};

// One connection to a SQLite file: write-ahead log, synchronous=FULL, foreign keys, ten seconds of
// patience with other connections. All calls block on the disk. Not thread-safe: users of one
// connection share a lock, users of the same file may have a connection each.
//
// Errors name the file: RESOURCE_EXHAUSTED (disk full), UNAVAILABLE (busy, input or output),
// PERMISSION_DENIED, DATA_LOSS (not a database, or a broken one), ALREADY_EXISTS (a constraint),
// else INTERNAL.
class SqliteDatabase {
 public:
  // Opens the file, which is created where it is missing.
  static absl::StatusOr<std::unique_ptr<SqliteDatabase>> Open(const std::string& path);

  // Brings the tables of one component to the version steps.size(): runs the steps that its row in
  // the table `schema_versions` has not seen, each with its new version in one transaction.
  // FAILED_PRECONDITION when the file is newer than the steps.
  absl::Status Migrate(std::string_view component, std::span<const std::string_view> steps);

  // Any number of statements without parameters.
  absl::Status Exec(const std::string& sql);

  // The statement with `values` (integers of 64 bits, doubles or strings) as its parameters.
  template <typename... Values>
  absl::StatusOr<SqliteStatement> Prepare(std::string_view sql, const Values&... values) {
    DDPT_ASSIGN_OR_RETURN(SqliteStatement statement, Compile(sql));
    DDPT_RETURN_IF_ERROR(statement.BindAll(values...));
    return statement;
  }

  // Prepares, and runs to the end.
  template <typename... Values>
  absl::Status Run(std::string_view sql, const Values&... values) {
    DDPT_ASSIGN_OR_RETURN(SqliteStatement statement, Prepare(sql, values...));
    return statement.Step().status();
  }

  // The first column of the first row; 0 where there is no row or it is NULL.
  template <typename... Values>
  absl::StatusOr<int64_t> QueryInt(std::string_view sql, const Values&... values) {
    DDPT_ASSIGN_OR_RETURN(SqliteStatement statement, Prepare(sql, values...));
    DDPT_ASSIGN_OR_RETURN(const bool found, statement.Step());
    return found ? statement.Int(0) : 0;
  }

  // Runs `body` between BEGIN IMMEDIATE and COMMIT; any error rolls back and is returned.
  absl::Status Transaction(const std::function<absl::Status()>& body);

 private:
  struct Closer {
    void operator()(sqlite3* connection) const;
  };
  explicit SqliteDatabase(sqlite3* connection) : connection_(connection) {}
  absl::StatusOr<SqliteStatement> Compile(std::string_view sql);

  std::unique_ptr<sqlite3, Closer> connection_;
};

}  // namespace ddpt
