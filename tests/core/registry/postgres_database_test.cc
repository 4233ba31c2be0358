#include "core/registry/postgres_database.h"

#include <cmath>
#include <limits>
#include <thread>

#include "core/base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/postgres_cluster.h"

namespace ddpt {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Transaction = PostgresTransaction;

TEST(PostgresUrlTest, WhatIsNoUrlIsRefusedWithoutQuotingIt) {
  for (const char* url : {"", "mysql://u:secret@h/d", "postgresql://u:secret@[::1/d",
                          "postgresql://u:secret@h/d?nonsense=1"}) {
    const absl::Status status = PostgresDatabase::Open({.url = url}).status();
    EXPECT_EQ(FieldOf(status), "database") << url;
    EXPECT_THAT(status.message(), Not(HasSubstr("secret")));
  }
}

TEST(PostgresUrlTest, AnUnreachableServerIsUnavailableAndNamed) {
  const absl::Status status =
      PostgresDatabase::Open({.url = "postgresql://u:secret@127.0.0.1:1/prompts"}).status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(status.message(), HasSubstr("database 127.0.0.1:1/prompts: "));
  EXPECT_THAT(status.message(), Not(HasSubstr("secret")));
}

class PostgresDatabaseTest : public ::testing::Test {
 protected:
  void SetUp() override {
    cluster_ = PostgresCluster::Get();
    if (cluster_ == nullptr) GTEST_SKIP() << kNoPostgres;
    url_ = cluster_->EmptyDatabase();
    database_ = Open();
  }
  std::unique_ptr<PostgresDatabase> Open(PostgresDatabase::Options options = {}) const {
    options.url = url_;
    auto database = PostgresDatabase::Open(options);
    EXPECT_TRUE(database.ok()) << database.status();
    return *std::move(database);
  }
  absl::Status Exec(std::string_view sql) {
    return database_->Transaction([&](Transaction& transaction) { return transaction.Exec(sql); });
  }
  int64_t QueryInt(std::string_view sql) {
    int64_t value = 0;
    const absl::Status status = database_->Transaction([&](Transaction& transaction) {
      const auto found = transaction.QueryInt(sql);
      value = found.value_or(0);
      return found.status();
    });
    EXPECT_TRUE(status.ok()) << status;
    return value;
  }

  PostgresCluster* cluster_ = nullptr;
  std::string url_;
  std::unique_ptr<PostgresDatabase> database_;
};

TEST_F(PostgresDatabaseTest, ValuesComeBackAsTheyWere) {
  const std::string bytes("a\0\xff'\\", 5), text = "it's \\ ü";
  const int64_t least = std::numeric_limits<int64_t>::min();
  const absl::Status status = database_->Transaction([&](Transaction& transaction) -> absl::Status {
    DDPT_ASSIGN_OR_RETURN(
        const PostgresRows rows,
        transaction.Query("SELECT $1::BYTEA, $2::TEXT, $3::BIGINT, $4::FLOAT8, $5::FLOAT8,"
                          " $6::FLOAT8, NULL",
                          PostgresBytes{bytes}, text, least, 1e-300, 0.1, std::nan("")));
    EXPECT_EQ(rows[0].Text(0), bytes);
    EXPECT_EQ(rows[0].Text(1), text);
    EXPECT_EQ(rows[0].Int(2), least);
    EXPECT_EQ(rows[0].Double(3), 1e-300);
    EXPECT_EQ(rows[0].Double(4), 0.1);
    EXPECT_TRUE(std::isnan(rows[0].Double(5)));
    EXPECT_TRUE(rows[0].IsNull(6));
    EXPECT_EQ(rows[0].Text(6), "");
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST_F(PostgresDatabaseTest, AnErrorRollsBack) {
  ASSERT_TRUE(Exec("CREATE TABLE t (x BIGINT PRIMARY KEY)").ok());
  const absl::Status status = database_->Transaction([](Transaction& transaction) -> absl::Status {
    DDPT_RETURN_IF_ERROR(transaction.Run("INSERT INTO t VALUES (1)"));
    return absl::CancelledError("changed my mind");
  });
  EXPECT_EQ(status, absl::CancelledError("changed my mind"));
  EXPECT_EQ(QueryInt("SELECT COUNT(*) FROM t"), 0);
}

TEST_F(PostgresDatabaseTest, ErrorsHaveTheirCode) {
  ASSERT_TRUE(Exec("CREATE TABLE t (x BIGINT PRIMARY KEY); INSERT INTO t VALUES (1)").ok());
  EXPECT_TRUE(absl::IsAlreadyExists(Exec("INSERT INTO t VALUES (1)")));
  EXPECT_TRUE(absl::IsInternal(Exec("SELECT nonsense")));
  EXPECT_THAT(Exec("SELECT nonsense").message(), HasSubstr("database "));
}

TEST_F(PostgresDatabaseTest, AStatementThatTakesTooLongIsUnavailable) {
  database_ = Open({.statement_timeout = std::chrono::milliseconds(50)});
  const absl::Status status = Exec("SELECT pg_sleep(60)");
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(status.message(), HasSubstr("statement timeout"));
}

TEST_F(PostgresDatabaseTest, ConnectionsAreBounded) {
  database_ = Open({.connections = 1, .connect_timeout = std::chrono::seconds(1)});
  absl::Status second;
  EXPECT_TRUE(database_
                  ->Transaction([&](Transaction&) {
                    second = Exec("SELECT 1");
                    return absl::OkStatus();
                  })
                  .ok());
  EXPECT_TRUE(absl::IsUnavailable(second));
  EXPECT_THAT(second.message(), HasSubstr("all 1 connections are in use"));
  EXPECT_TRUE(Exec("SELECT 1").ok());
}

TEST_F(PostgresDatabaseTest, ConnectionsThatBrokeAreMadeAgain) {
  ASSERT_TRUE(Exec("SELECT 1").ok());
  cluster_->Stop();
  cluster_->Start();
  EXPECT_TRUE(Exec("SELECT 1").ok());
}

TEST_F(PostgresDatabaseTest, AServerThatIsAwayIsUnavailableUntilItIsBack) {
  cluster_->Stop();
  for (int i = 0; i < 3; ++i) {
    const absl::Status status = Exec("SELECT 1");
    EXPECT_TRUE(absl::IsUnavailable(status)) << status;
    EXPECT_THAT(status.message(), HasSubstr("database " + database_->address()));
  }
  cluster_->Start();
  while (!Exec("SELECT 1").ok()) std::this_thread::yield();
}

TEST_F(PostgresDatabaseTest, OfServersThatStartAtTheSameTimeOneMigrates) {
  url_ = cluster_->EmptyDatabase();
  constexpr std::string_view kSteps[] = {"CREATE TABLE t (x BIGINT)", "INSERT INTO t VALUES (7)"};
  std::vector<std::thread> servers;
  for (int i = 0; i < 6; ++i) {
    servers.emplace_back([&] {
      const auto database = Open();
      const absl::Status status = database->Migrate("test", kSteps);
      EXPECT_TRUE(status.ok()) << status;
    });
  }
  for (std::thread& server : servers) server.join();
  database_ = Open();
  EXPECT_EQ(QueryInt("SELECT COUNT(*) FROM t"), 1);
  EXPECT_EQ(QueryInt("SELECT version FROM schema_versions WHERE component = 'test'"), 2);
}

TEST_F(PostgresDatabaseTest, AMigrationThatFailsLeavesTheOldVersion) {
  constexpr std::string_view kBad[] = {"CREATE TABLE t (x BIGINT)", "nonsense"};
  EXPECT_FALSE(database_->Migrate("test", kBad).ok());
  EXPECT_EQ(QueryInt("SELECT COUNT(*) FROM schema_versions WHERE component = 'test'"), 0);
  EXPECT_EQ(QueryInt("SELECT COUNT(*) FROM pg_tables WHERE tablename = 't'"), 0);
}

TEST_F(PostgresDatabaseTest, ANewerDatabaseIsRefused) {
  constexpr std::string_view kSteps[] = {"SELECT 1", "SELECT 2"};
  ASSERT_TRUE(database_->Migrate("test", kSteps).ok());
  const absl::Status status = database_->Migrate("test", std::span(kSteps).first(1));
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(status.message(),
              HasSubstr("test tables are of version 2, newer than the version 1"));
}

}  // namespace
}  // namespace ddpt
