#include "core/registry/sqlite_job_store.h"

#include <sys/mount.h>

#include <filesystem>
#include <fstream>

#include "core/base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/registry/jobs.h"
#include "tests/core/registry/temporary_folder.h"
#include "tests/fakes/fake_clock.h"

namespace ddpt {
namespace {

class SqliteJobStoreTest : public ::testing::Test {
 protected:
  SqliteJobStoreTest() { Open(); }

  void Open() {
    store_.reset();
    auto store = SqliteJobStore::Open(
        {.state_directory = folder_.path(), .max_unfinished = 5, .clock = &clock_});
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  Job Create(const std::string& operation_id, const std::string& task = "sql") {
    const auto job = store_->CreateJob(NewJob(operation_id, task));
    EXPECT_TRUE(job.ok()) << job.status();
    return job.value_or(Job{});
  }

  TemporaryFolder folder_;
  FakeClock clock_{1000};
  std::unique_ptr<SqliteJobStore> store_;
};

// The same store on a file system of half a mebibyte.
class FullDiskJobStoreTest : public SqliteJobStoreTest {
 protected:
  void SetUp() override {
    store_.reset();
    if (mount("tmpfs", folder_.path().c_str(), "tmpfs", 0, "size=512k") != 0) {
      GTEST_SKIP() << "needs the right to mount a small file system";
    }
    mounted_ = true;
    Open();
  }
  void TearDown() override {
    store_.reset();
    if (mounted_) umount2(folder_.path().c_str(), MNT_DETACH);
  }
  bool mounted_ = false;
};

TEST_F(FullDiskJobStoreTest, AnEventThatDoesNotFitLeavesTheJobAsItWas) {
  const Job job = Create("op");
  const std::string filler = folder_.path() + "/filler";
  std::ofstream(filler) << std::string(1 << 20, 'x');
  const absl::Status status = store_->UpdateJob(Changed(job), "").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_EQ(store_->CreateJob(NewJob("2")).status().code(), absl::StatusCode::kResourceExhausted);
  ExpectFigures(*store_->GetJob(job.id), Job{});
  EXPECT_EQ(store_->ListEvents(job.id, 0, 10)->size(), 1u);
  std::filesystem::remove(filler);
  EXPECT_EQ(*store_->UpdateJob(Changed(job), ""), 2u);
}

}  // namespace
}  // namespace ddpt
