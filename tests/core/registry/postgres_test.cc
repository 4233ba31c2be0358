#include <atomic>
#include <condition_variable>
#include <latch>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/registry/postgres_dataset_store.h"
#include "core/registry/postgres_job_store.h"
#include "core/registry/postgres_registry.h"
#include "core/registry/postgres_watcher.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/registry/temporary_folder.h"
#include "tests/postgres_cluster.h"

namespace ddpt {
namespace {

using ::testing::HasSubstr;

constexpr std::chrono::milliseconds kLease{5'000};

// Two servers' stores on one database.
class PostgresTest : public ::testing::Test {
 protected:
  struct Server {
    TemporaryFolder folder;
    std::unique_ptr<PostgresDatabase> database;
    std::unique_ptr<PostgresRegistry> registry;
    std::unique_ptr<PostgresJobStore> jobs;
  };

  void SetUp() override {
    cluster_ = PostgresCluster::Get();
    if (cluster_ == nullptr) GTEST_SKIP() << kNoPostgres;
    const std::string url = cluster_->EmptyDatabase();
    for (Server* server : {&a_, &b_}) {
      server->database = *PostgresDatabase::Open({.url = url});
      server->registry = *PostgresRegistry::Open(
          *server->database,
          {.state_directory = server->folder.path(), .limits = {.max_tasks = 3}});
      server->jobs = *PostgresJobStore::Open(*server->database, {.lease = kLease});
    }
    SetClock(1000);
  }
  void Exec(const std::string& sql) {
    const absl::Status done = a_.database->Transaction(
        [&](PostgresTransaction& transaction) { return transaction.Exec(sql); });
    EXPECT_TRUE(done.ok()) << done;
  }
  void SetClock(int64_t micros) {
    Exec(
        absl::StrCat("CREATE OR REPLACE FUNCTION ddpt_now() RETURNS BIGINT LANGUAGE sql VOLATILE"
                     " AS 'SELECT ",
                     micros, "::BIGINT'"));
  }
  void LetTheLeaseRunOut() { SetClock(1000 + std::chrono::microseconds(kLease).count()); }
  Job Create(const std::string& operation_id) {
    return *a_.jobs->CreateJob({.operation_id = operation_id, .task = "sql"});
  }

  PostgresCluster* cluster_ = nullptr;
  Server a_, b_;
};

TEST_F(PostgresTest, ADenoiserIsFetchedFromWhatAnotherServerImported) {
  ASSERT_TRUE(a_.registry->ImportVersion("sql", "denoiser", {}, Promotion::kAlways).ok());
  const auto path = b_.registry->FetchDenoiser(b_.registry->GetVersion("sql", 0)->digest);
  ASSERT_TRUE(path.ok()) << path.status();
  EXPECT_THAT(*path, HasSubstr(b_.folder.path()));
  EXPECT_EQ(*ReadFile(*path, 100), "denoiser");
}

TEST_F(PostgresTest, ADamagedDenoiserIsNotFetched) {
  ASSERT_TRUE(a_.registry->ImportVersion("sql", "denoiser", {}, Promotion::kAlways).ok());
  Exec("UPDATE blobs SET bytes = 'denoisex'");
  const absl::Status status = b_.registry->FetchDenoiser(Sha256Hex("denoiser")).status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  ASSERT_TRUE(a_.registry->ImportVersion("sql", "denoiser", {}, Promotion::kAlways).ok());
  EXPECT_TRUE(b_.registry->FetchDenoiser(Sha256Hex("denoiser")).ok());
}

TEST_F(PostgresTest, ADamagedCopyIsFetchedAgain) {
  ASSERT_TRUE(a_.registry->ImportVersion("sql", "denoiser", {}, Promotion::kAlways).ok());
  const std::string path = *b_.registry->FetchDenoiser(Sha256Hex("denoiser"));
  ASSERT_TRUE(WriteFileAtomic(path, "denoisex").ok());
  ASSERT_TRUE(b_.registry->FetchDenoiser(Sha256Hex("denoiser")).ok());
  EXPECT_EQ(*ReadFile(path, 100), "denoiser");
}

TEST_F(PostgresTest, ServersThatImportAtTheSameTimeLoseNothing) {
  const auto import = [](Server& server, const std::string& prefix) {
    for (const char* suffix : {"1", "2", "3", "4"}) {
      const auto version =
          server.registry->ImportVersion("sql", prefix + suffix, {}, Promotion::kAlways);
      EXPECT_TRUE(version.ok()) << version.status();
    }
  };
  std::thread first([&] { import(a_, "x"); }), second([&] { import(b_, "y"); });
  first.join();
  second.join();
  EXPECT_EQ(a_.registry->GetTask("sql")->version_count, 8u);
  EXPECT_EQ(b_.registry->GetTask("sql")->latest_version, 8u);
}

TEST_F(PostgresTest, ATransactionThatDeadlockedIsRepeated) {
  Exec(
      "CREATE TABLE counts (name TEXT PRIMARY KEY, value BIGINT); INSERT INTO counts VALUES ('x', "
      "0), ('y', 0)");
  std::latch both_hold_one(2);
  std::atomic<int> attempts{0};
  const auto add = [&](Server& server, const std::string& first, const std::string& then) {
    bool tried = false;
    const absl::Status done = server.database->Transaction([&](PostgresTransaction& transaction) {
      ++attempts;
      constexpr char kAdd[] = "UPDATE counts SET value = value + 1 WHERE name = $1";
      DDPT_RETURN_IF_ERROR(transaction.Exec("SET LOCAL deadlock_timeout = '10ms'"));
      DDPT_RETURN_IF_ERROR(transaction.Run(kAdd, first));
      if (!std::exchange(tried, true)) both_hold_one.arrive_and_wait();
      return transaction.Run(kAdd, then);
    });
    EXPECT_TRUE(done.ok()) << done;
  };
  std::thread other([&] { add(b_, "y", "x"); });
  add(a_, "x", "y");
  other.join();
  EXPECT_GT(attempts, 2);
  int64_t sum = 0;
  ASSERT_TRUE(a_.database
                  ->Transaction([&](PostgresTransaction& transaction) -> absl::Status {
                    DDPT_ASSIGN_OR_RETURN(
                        sum, transaction.QueryInt("SELECT SUM(value)::BIGINT FROM counts"));
                    return absl::OkStatus();
                  })
                  .ok());
  EXPECT_EQ(sum, 4);
}

TEST_F(PostgresTest, ADataSetIsThereForAllServers) {
  const auto one = *PostgresDatasetStore::Open(*a_.database);
  const auto other = *PostgresDatasetStore::Open(*b_.database);
  const Dataset dataset = *MakeDataset({{"add", "x += 1"}});
  ASSERT_TRUE(one->Put(dataset).ok());
  EXPECT_EQ(other->Get(dataset.digest)->examples[0].code, "x += 1");
}

TEST_F(PostgresTest, ADamagedDataSetIsDataLossUntilItIsPutAgain) {
  const auto store = *PostgresDatasetStore::Open(*a_.database);
  const Dataset dataset = *MakeDataset({{"add", "x += 1"}});
  ASSERT_TRUE(store->Put(dataset).ok());
  Exec("UPDATE blobs SET bytes = '{'");
  EXPECT_TRUE(absl::IsDataLoss(store->Get(dataset.digest).status()));
  ASSERT_TRUE(store->Put(dataset).ok());
  EXPECT_TRUE(store->Get(dataset.digest).ok());
}

TEST_F(PostgresTest, AJobIsTakenByOneServer) {
  for (int i = 0; i < 20; ++i) Create(absl::StrCat(i));
  std::mutex mutex;
  std::multiset<std::string> taken;
  const auto work = [&](Server& server) {
    while (true) {
      const auto job = server.jobs->TakeJob();
      ASSERT_TRUE(job.ok()) << job.status();
      if (!*job) return;
      std::lock_guard lock(mutex);
      taken.insert((*job)->id);
    }
  };
  std::thread first([&] { work(a_); }), second([&] { work(b_); });
  first.join();
  second.join();
  EXPECT_EQ(taken.size(), 20u);
  EXPECT_EQ(std::set<std::string>(taken.begin(), taken.end()).size(), 20u);
}

TEST_F(PostgresTest, AJobWhoseLeaseRanOutIsTakenByAnother) {
  Create("op");
  ASSERT_TRUE(a_.jobs->TakeJob()->has_value());
  EXPECT_EQ(*b_.jobs->TakeJob(), std::nullopt);
  LetTheLeaseRunOut();
  EXPECT_EQ((*b_.jobs->TakeJob())->resumes, 1u);
  EXPECT_EQ(*a_.jobs->TakeJob(), std::nullopt);
}

TEST_F(PostgresTest, ARenewedLeaseKeepsTheJob) {
  Create("op");
  const Job job = **a_.jobs->TakeJob();
  SetClock(2000);
  ASSERT_TRUE(a_.jobs->RenewJob(job).ok());
  LetTheLeaseRunOut();
  EXPECT_EQ(*b_.jobs->TakeJob(), std::nullopt);
}

TEST_F(PostgresTest, AServerThatLostItsLeaseCannotWrite) {
  Create("op");
  Job lost = **a_.jobs->TakeJob();
  ASSERT_TRUE(a_.jobs->SaveCheckpoint(lost, "mine").ok());
  LetTheLeaseRunOut();
  const Job taken = **b_.jobs->TakeJob();
  lost.step = 99;
  for (const absl::Status& status :
       {a_.jobs->UpdateJob(lost, "").status(), a_.jobs->SaveCheckpoint(lost, "late"),
        a_.jobs->RenewJob(lost).status(), a_.jobs->LeaveJob(lost)}) {
    EXPECT_TRUE(absl::IsAborted(status)) << status;
    EXPECT_THAT(status.message(), HasSubstr("job-1 has been taken over by another server"));
  }
  EXPECT_EQ(b_.jobs->GetJob("job-1")->step, 0u);
  EXPECT_EQ(*b_.jobs->ReadCheckpoint("job-1"), "mine");
  EXPECT_TRUE(b_.jobs->UpdateJob(taken, "").ok());
}

TEST_F(PostgresTest, TheNumberOfTheLeaseFencesTheSameServer) {
  Create("op");
  const Job first = **a_.jobs->TakeJob();
  LetTheLeaseRunOut();
  const Job second = **a_.jobs->TakeJob();
  EXPECT_TRUE(absl::IsAborted(a_.jobs->UpdateJob(first, "").status()));
  EXPECT_TRUE(a_.jobs->UpdateJob(second, "").ok());
}

TEST_F(PostgresTest, AJobThatWasLeftIsTakenByAnotherAtOnce) {
  Create("op");
  ASSERT_TRUE(a_.jobs->LeaveJob(**a_.jobs->TakeJob()).ok());
  EXPECT_EQ((*b_.jobs->TakeJob())->id, "job-1");
}

// What a watcher of the database is told.
class PostgresWatcherTest : public PostgresTest {
 protected:
  void Watch(std::chrono::milliseconds poll = std::chrono::milliseconds(1000)) {
    const auto note = [this](const std::string& what) {
      std::lock_guard lock(mutex_);
      told_.insert(what);
      changed_.notify_all();
      return failing_.contains(what) ? absl::UnavailableError("not now") : absl::OkStatus();
    };
    watcher_ = std::make_unique<PostgresWatcher>(
        *b_.database,
        PostgresWatcher::Options{
            .poll = poll,
            .on_task = [note](const std::string& name) { return note("task " + name); },
            .on_job = [note](const std::string& id) { return note("job " + id); },
            .on_reach =
                [note](const absl::Status& status) {
                  static_cast<void>(note(status.ok() ? "there" : "away"));
                }});
    Await("job ");
    Forget();
  }
  void Await(const std::string& what) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, std::chrono::seconds(30), [&] {
      return told_.contains(what);
    })) << what;
  }
  void Forget() {
    std::lock_guard lock(mutex_);
    told_.clear();
  }
  void TearDown() override { watcher_.reset(); }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::string> told_, failing_;
  std::unique_ptr<PostgresWatcher> watcher_;
};

TEST_F(PostgresWatcherTest, TellsOfTasksAndJobs) {
  Watch(std::chrono::hours(1));
  ASSERT_TRUE(a_.registry->ImportVersion("sql", "1", {}, Promotion::kAlways).ok());
  Await("task sql");
  Create("op");
  Await("job job-1");
  Forget();
  ASSERT_TRUE(a_.registry->DeleteTask("sql", {}).ok());
  Await("task sql");
}

TEST_F(PostgresWatcherTest, FindsByAPollWhatNobodyToldOf) {
  Watch(std::chrono::milliseconds(20));
  Exec("UPDATE revisions SET number = number + 1 WHERE kind = 'tasks'");
  Await("task ");
}

TEST_F(PostgresWatcherTest, TellsAgainWhatWasNotTaken) {
  failing_.insert("task sql");
  Watch(std::chrono::milliseconds(20));
  ASSERT_TRUE(a_.registry->ImportVersion("sql", "1", {}, Promotion::kAlways).ok());
  Await("task ");
}

TEST_F(PostgresWatcherTest, TellsAllOnceTheDatabaseIsBack) {
  Watch();
  for (int outage = 0; outage < 2; ++outage) {
    cluster_->Stop();
    Await("away");
    Forget();
    cluster_->Start();
    Await("there");
    Await("task ");
    Await("job ");
    Forget();
  }
}

}  // namespace
}  // namespace ddpt
