#include "tests/core/registry/backend.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/registry/file_dataset_store.h"
#include "core/registry/postgres_database.h"
#include "core/registry/postgres_dataset_store.h"
#include "core/registry/postgres_job_store.h"
#include "core/registry/postgres_registry.h"
#include "core/registry/sqlite_job_store.h"
#include "core/registry/sqlite_registry.h"
#include "tests/core/registry/temporary_folder.h"
#include "tests/fakes/fake_clock.h"
#include "tests/postgres_cluster.h"

namespace ddpt {
namespace {

constexpr int64_t kFirstMicros = 1000;

class SqliteBackend final : public Backend {
 public:
  absl::StatusOr<std::unique_ptr<Registry>> OpenRegistry(const RegistryLimits& limits) override {
    return SqliteRegistry::Open(
        {.state_directory = folder_.path(), .limits = limits, .clock = &clock_});
  }
  absl::StatusOr<std::unique_ptr<JobStore>> OpenJobs(uint64_t max_unfinished) override {
    return SqliteJobStore::Open(
        {.state_directory = folder_.path(), .max_unfinished = max_unfinished, .clock = &clock_});
  }
  absl::StatusOr<std::unique_ptr<DatasetStore>> OpenDatasets(uint64_t max_bytes) override {
    return FileDatasetStore::Open(
        {.directory = folder_.path() + "/datasets", .max_bytes = max_bytes});
  }
  void Advance(int64_t micros) override { clock_.Advance(micros); }

 private:
  TemporaryFolder folder_;
  FakeClock clock_{kFirstMicros};
};

class PostgresBackend final : public Backend {
 public:
  explicit PostgresBackend(PostgresCluster& cluster)
      : database_(*PostgresDatabase::Open({.url = cluster.EmptyDatabase()})) {}
  absl::StatusOr<std::unique_ptr<Registry>> OpenRegistry(const RegistryLimits& limits) override {
    Advance(0);
    return PostgresRegistry::Open(*database_,
                                  {.state_directory = folder_.path(), .limits = limits});
  }
  absl::StatusOr<std::unique_ptr<JobStore>> OpenJobs(uint64_t max_unfinished) override {
    Advance(0);
    return PostgresJobStore::Open(*database_, {.max_unfinished = max_unfinished});
  }
  absl::StatusOr<std::unique_ptr<DatasetStore>> OpenDatasets(uint64_t max_bytes) override {
    return PostgresDatasetStore::Open(*database_, max_bytes);
  }
  void Advance(int64_t micros) override {
    now_ += micros;
    const absl::Status set = database_->Transaction([&](PostgresTransaction& transaction) {
      return transaction.Exec(
          absl::StrCat("CREATE OR REPLACE FUNCTION ddpt_now() RETURNS BIGINT LANGUAGE sql VOLATILE"
                       " AS 'SELECT ",
                       now_, "::BIGINT'"));
    });
    EXPECT_TRUE(set.ok()) << set;
  }

 private:
  TemporaryFolder folder_;
  std::unique_ptr<PostgresDatabase> database_;
  int64_t now_ = kFirstMicros;
};

}  // namespace

void BackendTest::SetUp() {
  if (GetParam() == "Sqlite") {
    backend_ = std::make_unique<SqliteBackend>();
  } else if (PostgresCluster* cluster = PostgresCluster::Get()) {
    backend_ = std::make_unique<PostgresBackend>(*cluster);
  } else {
    GTEST_SKIP() << kNoPostgres;
  }
}

}  // namespace ddpt
