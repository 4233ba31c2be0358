#include "core/registry/sqlite_database.h"

#include <cmath>
#include <filesystem>
#include <limits>

#include "core/base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/registry/temporary_folder.h"

namespace ddpt {
namespace {

using ::testing::HasSubstr;

class SqliteDatabaseTest : public ::testing::Test {
 protected:
  std::unique_ptr<SqliteDatabase> Open() {
    auto database = SqliteDatabase::Open(Path());
    EXPECT_TRUE(database.ok()) << database.status();
    return *std::move(database);
  }
  std::unique_ptr<SqliteDatabase> OpenWithTable() {
    auto database = Open();
    EXPECT_TRUE(database->Exec("CREATE TABLE t (k TEXT PRIMARY KEY, v INTEGER)").ok());
    return database;
  }
  std::string Path() const { return folder_.path() + "/x.sqlite3"; }

  TemporaryFolder folder_;
};

TEST_F(SqliteDatabaseTest, KeepsValuesOfBothKinds) {
  const auto database = OpenWithTable();
  const std::string text("a\0'b", 4);
  ASSERT_TRUE(database->Run("INSERT INTO t VALUES (?, ?)", text, int64_t{-5}).ok());
  auto rows = database->Prepare("SELECT k, v, NULL FROM t WHERE k = ?", text);
  ASSERT_TRUE(rows.ok());
  ASSERT_TRUE(*rows->Step());
  EXPECT_EQ(rows->Text(0), text);
  EXPECT_EQ(rows->Int(1), -5);
  EXPECT_TRUE(rows->IsNull(2));
  EXPECT_EQ(rows->Text(2), "");
  EXPECT_FALSE(*rows->Step());
}

TEST_F(SqliteDatabaseTest, KeepsDoublesToTheLastBit) {
  const auto database = OpenWithTable();
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double value : {0.1, -1e-300, 3.0, infinity}) {
    ASSERT_TRUE(database->Run("INSERT OR REPLACE INTO t VALUES ('x', ?)", value).ok());
    auto row = database->Prepare("SELECT v FROM t");
    ASSERT_TRUE(*row->Step());
    EXPECT_EQ(row->Double(0), value);
  }
  ASSERT_TRUE(database->Run("UPDATE t SET v = ?", std::nan("")).ok());
  auto row = database->Prepare("SELECT v FROM t");
  ASSERT_TRUE(*row->Step());
  EXPECT_TRUE(std::isnan(row->Double(0)));
}

TEST_F(SqliteDatabaseTest, EmptyTextIsNotNull) {
  const auto database = OpenWithTable();
  ASSERT_TRUE(database->Run("INSERT INTO t VALUES (?, 1)", std::string_view()).ok());
  EXPECT_EQ(*database->QueryInt("SELECT COUNT(*) FROM t WHERE k = ''"), 1);
}

TEST_F(SqliteDatabaseTest, UsesTheWriteAheadLogAndSyncsIt) {
  const auto database = Open();
  auto mode = database->Prepare("PRAGMA journal_mode");
  ASSERT_TRUE(*mode->Step());
  EXPECT_EQ(mode->Text(0), "wal");
  EXPECT_EQ(*database->QueryInt("PRAGMA synchronous"), 2);
  EXPECT_EQ(*database->QueryInt("PRAGMA foreign_keys"), 1);
}

TEST_F(SqliteDatabaseTest, TransactionKeepsAllOrNothing) {
  const auto database = OpenWithTable();
  const absl::Status failed = database->Transaction([&]() -> absl::Status {
    DDPT_RETURN_IF_ERROR(database->Run("INSERT INTO t VALUES ('a', 1)"));
    return absl::AbortedError("changed my mind");
  });
  EXPECT_EQ(failed, absl::AbortedError("changed my mind"));
  EXPECT_EQ(*database->QueryInt("SELECT COUNT(*) FROM t"), 0);
  ASSERT_TRUE(
      database->Transaction([&] { return database->Run("INSERT INTO t VALUES ('b', 1)"); }).ok());
  EXPECT_EQ(*Open()->QueryInt("SELECT COUNT(*) FROM t"), 1);
}

TEST_F(SqliteDatabaseTest, ErrorsNameTheFileAndLeaveTheDatabaseUsable) {
  const auto database = OpenWithTable();
  ASSERT_TRUE(database->Run("INSERT INTO t VALUES ('a', 1)").ok());
  const absl::Status twice = database->Run("INSERT INTO t VALUES ('a', 2)");
  EXPECT_EQ(twice.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(twice.message(), HasSubstr("x.sqlite3"));
  EXPECT_EQ(database->Run("SELECT nonsense").code(), absl::StatusCode::kInternal);
  EXPECT_EQ(*database->QueryInt("SELECT v FROM t"), 1);
}

TEST_F(SqliteDatabaseTest, AFileOfAnotherKindIsDataLoss) {
  ASSERT_TRUE(WriteFileAtomic(Path(), std::string(4096, 'x')).ok());
  EXPECT_EQ(SqliteDatabase::Open(Path()).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(SqliteDatabaseTest, AMissingFolderIsNamed) {
  const auto database = SqliteDatabase::Open(folder_.path() + "/no/x.sqlite3");
  EXPECT_EQ(database.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(database.status().message(), HasSubstr("/no/x.sqlite3"));
}

TEST_F(SqliteDatabaseTest, MigrateRunsEachStepOnce) {
  constexpr std::string_view kSteps[] = {"CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1);",
                                         "INSERT INTO a VALUES (2);"};
  const auto database = Open();
  ASSERT_TRUE(database->Migrate("room", std::span(kSteps).first(1)).ok());
  ASSERT_TRUE(database->Migrate("room", kSteps).ok());
  ASSERT_TRUE(database->Migrate("room", kSteps).ok());
  EXPECT_EQ(*database->QueryInt("SELECT SUM(x) FROM a"), 3);
}

TEST_F(SqliteDatabaseTest, ComponentsMigrateSeparately) {
  constexpr std::string_view kFirst[] = {"CREATE TABLE a (x)"}, kSecond[] = {"CREATE TABLE b (x)"};
  const auto database = Open();
  ASSERT_TRUE(database->Migrate("first", kFirst).ok());
  ASSERT_TRUE(database->Migrate("second", kSecond).ok());
  EXPECT_EQ(*database->QueryInt("SELECT COUNT(*) FROM b"), 0);
}

TEST_F(SqliteDatabaseTest, AFailedStepLeavesTheVersionBeforeIt) {
  constexpr std::string_view kBroken[] = {"CREATE TABLE a (x)", "CREATE TABLE c (x); nonsense;"};
  constexpr std::string_view kRepaired[] = {"CREATE TABLE a (x)", "CREATE TABLE c (x)"};
  const auto database = Open();
  EXPECT_FALSE(database->Migrate("room", kBroken).ok());
  EXPECT_TRUE(database->Migrate("room", kRepaired).ok());
}

TEST_F(SqliteDatabaseTest, MigrateRefusesANewerFile) {
  constexpr std::string_view kSteps[] = {"CREATE TABLE a (x)", "CREATE TABLE b (x)"};
  const auto database = Open();
  ASSERT_TRUE(database->Migrate("room", kSteps).ok());
  const absl::Status status = database->Migrate("room", std::span(kSteps).first(1));
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(status.message(), HasSubstr("version 2, newer than the version 1"));
}

}  // namespace
}  // namespace ddpt
