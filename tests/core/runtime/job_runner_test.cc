#include "core/runtime/job_runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <map>
#include <set>

#include "core/base/pause.h"
#include "core/registry/sqlite_job_store.h"
#include "tests/core/registry/temporary_folder.h"

namespace ddpt {
namespace {

// Counts to a number that it keeps, `saved`, and waits at `gate` where there is one.
class Counting final : public JobWork {
 public:
  Counting(std::map<std::string, uint64_t>& saved, const std::string& id, uint64_t end,
           std::shared_future<void> gate, std::function<void()> in_piece, int& outages)
      : saved_(saved),
        id_(id),
        end_(end),
        gate_(std::move(gate)),
        in_piece_(std::move(in_piece)),
        outages_(outages),
        count_(saved[id]) {}

  absl::StatusOr<Piece> Run(Job& job, const StopToken& stop) override {
    if (gate_.valid()) gate_.wait();
    if (stop.stopped()) return stop.status();
    if (outages_ > 0 && outages_-- > 0) return absl::UnavailableError("its data are out of reach");
    if (in_piece_) in_piece_();
    job.step = ++count_;
    return Piece{count_ == end_ ? Next::kFinish : Next::kSave, "counted"};
  }
  absl::Status Save(const Job&) override {
    if (outages_ > 0 && outages_-- > 0) return absl::UnavailableError("no way to save");
    saved_[id_] = count_;
    return absl::OkStatus();
  }
  absl::Status Finish(Job& job) override {
    job.version = count_;
    return absl::OkStatus();
  }

 private:
  std::map<std::string, uint64_t>& saved_;
  const std::string id_;
  const uint64_t end_;
  const std::shared_future<void> gate_;
  const std::function<void()> in_piece_;
  int& outages_;  // calls that are still to fail
  uint64_t count_;
};

class JobRunnerTest : public testing::Test {
 protected:
  void SetUp() override {
    auto store = SqliteJobStore::Open({.state_directory = folder_.path()});
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    front_ = *StreamPool::Create({.threads = 1});
    pool_ = *StreamPool::Create(
        {.threads = 1, .behind = front_.get(), .patience = std::chrono::seconds(60)});
  }
  ~JobRunnerTest() override { Release(); }

  void StartRunner() {
    JobRunner::Options options;
    options.make_work = [this](const Job& job) -> absl::StatusOr<std::unique_ptr<JobWork>> {
      if (job.task == "bad") return absl::DataLossError("its data are gone");
      return std::make_unique<Counting>(saved_, job.id, 5, gate_, in_piece_, outages_);
    };
    options.retry_after = std::chrono::milliseconds(1);
    runner_ = *JobRunner::Create(*store_, *pool_, std::move(options));
  }
  void Block() { gate_ = opened_.get_future().share(); }
  void Release() {
    if (gate_.valid() && !std::exchange(released_, true)) opened_.set_value();
  }
  Job Submit(const std::string& operation, const std::string& task = "count") {
    auto job = runner_->Submit({.operation_id = operation, .task = task});
    EXPECT_TRUE(job.ok()) << job.status();
    return *job;
  }
  // Blocks until the job is in one of the states. The listener may be called a little longer.
  Job Await(const std::string& id, const std::set<JobState>& states) {
    struct Reached {
      std::promise<void> promise;
      std::atomic<bool> told = false;
    };
    const auto reached = std::make_shared<Reached>();
    const auto look = [this, id, states, reached] {
      if (states.contains(store_->GetJob(id)->state) && !reached->told.exchange(true)) {
        reached->promise.set_value();
      }
    };
    const uint64_t number = runner_->Listen(id, look);
    look();
    EXPECT_EQ(reached->promise.get_future().wait_for(std::chrono::seconds(30)),
              std::future_status::ready);
    runner_->Unlisten(number);
    return *store_->GetJob(id);
  }

  TemporaryFolder folder_;
  std::map<std::string, uint64_t> saved_;
  std::promise<void> opened_;
  std::shared_future<void> gate_;
  bool released_ = false;
  std::function<void()> in_piece_;
  int outages_ = 0;
  std::unique_ptr<SqliteJobStore> store_;
  std::unique_ptr<StreamPool> front_, pool_;
  std::unique_ptr<JobRunner> runner_;
};

TEST_F(JobRunnerTest, RunsAJobToItsEnd) {
  StartRunner();
  const Job job = Await(Submit("a").id, {JobState::kSucceeded});
  EXPECT_EQ(job.step, 5u);
  EXPECT_EQ(job.version, 5u);
}

TEST_F(JobRunnerTest, TellsEachPieceInOrder) {
  StartRunner();
  const Job job = Await(Submit("a").id, {JobState::kSucceeded});
  const auto events = *store_->ListEvents(job.id, 0, 100);
  std::vector<uint64_t> steps;
  for (const JobEvent& event : events) {
    if (event.payload == "counted") steps.push_back(event.job.step);
  }
  EXPECT_THAT(steps, testing::ElementsAre(1, 2, 3, 4, 5));
}

TEST_F(JobRunnerTest, InsideAPieceTheOtherPoolsWorkGoesFirst) {
  int ran = 0;
  in_piece_ = [&] {
    ASSERT_TRUE(front_
                    ->Submit({.key = "other",
                              .run =
                                  [&](Stream&) {
                                    ++ran;
                                    return Progress::kDone;
                                  },
                              .on_error = [](const absl::Status&) {}})
                    .ok());
    PausePoint();
    EXPECT_EQ(front_->idle(), 1u);
  };
  StartRunner();
  Await(Submit("a").id, {JobState::kSucceeded});
  EXPECT_TRUE(front_->Stop(std::chrono::steady_clock::now() + std::chrono::seconds(30)).ok());
  EXPECT_EQ(ran, 5);
}

TEST_F(JobRunnerTest, FailureIsToldAndTheNextJobRuns) {
  StartRunner();
  const Job bad = Submit("a", "bad"), good = Submit("b");
  EXPECT_EQ(Await(good.id, {JobState::kSucceeded}).step, 5u);
  EXPECT_EQ(store_->GetJob(bad.id)->state, JobState::kFailed);
  EXPECT_EQ(store_->GetJob(bad.id)->error, "its data are gone");
}

TEST_F(JobRunnerTest, WhatIsOutOfReachIsTriedAgain) {
  in_piece_ = [&] { outages_ = 1; };  // then the Save fails once
  outages_ = 2;
  StartRunner();
  EXPECT_EQ(Await(Submit("a").id, {JobState::kSucceeded}).step, 5u);
}

TEST_F(JobRunnerTest, CancelEndsARunningJob) {
  Block();
  StartRunner();
  const Job job = Submit("a");
  Await(job.id, {JobState::kRunning});
  ASSERT_TRUE(runner_->Cancel(job.id).ok());
  Release();
  EXPECT_LT(Await(job.id, {JobState::kCancelled}).step, 5u);
}

TEST_F(JobRunnerTest, CancelledInTheQueueNeverRuns) {
  Block();
  StartRunner();
  const Job first = Submit("a"), second = Submit("b");
  Await(first.id, {JobState::kRunning});
  EXPECT_EQ(runner_->Cancel(second.id)->state, JobState::kCancelled);
  Release();
  Await(first.id, {JobState::kSucceeded});
  EXPECT_EQ(store_->GetJob(second.id)->step, 0u);
}

TEST_F(JobRunnerTest, FinishedJobIsReturnedUnchanged) {
  StartRunner();
  const Job job = Submit("a");
  Await(job.id, {JobState::kSucceeded});
  EXPECT_EQ(runner_->Cancel(job.id)->state, JobState::kSucceeded);
}

TEST_F(JobRunnerTest, GoesOnFromWhatWasSaved) {
  Block();
  StartRunner();
  const Job job = Submit("a");
  Await(job.id, {JobState::kRunning});
  std::thread stopper([this] { runner_->Stop(); });
  while (!runner_->stopping()) std::this_thread::yield();
  Release();
  stopper.join();
  EXPECT_EQ(store_->GetJob(job.id)->state, JobState::kRunning);
  StartRunner();
  const Job ended = Await(job.id, {JobState::kSucceeded});
  EXPECT_EQ(ended.resumes, 1u);
  EXPECT_EQ(ended.step, 5u);
}

TEST_F(JobRunnerTest, ACeasedOneFailsNoJob) {
  Block();
  StartRunner();
  const Job running = Submit("a"), waiting = Submit("b");
  Await(running.id, {JobState::kRunning});
  runner_->Cease();
  Release();
  runner_->Stop();
  EXPECT_EQ(store_->GetJob(running.id)->state, JobState::kRunning);
  EXPECT_EQ(store_->GetJob(waiting.id)->state, JobState::kQueued);
}

TEST_F(JobRunnerTest, SecondJobOfAnOperationIsRefused) {
  StartRunner();
  Submit("a");
  EXPECT_TRUE(
      absl::IsAlreadyExists(runner_->Submit({.operation_id = "a", .task = "count"}).status()));
}

TEST_F(JobRunnerTest, StopTellsListeners) {
  StartRunner();
  std::promise<void> told;
  runner_->Listen("job-9", [&] { told.set_value(); });
  runner_->Stop();
  EXPECT_EQ(told.get_future().wait_for(std::chrono::seconds(0)), std::future_status::ready);
}

}  // namespace
}  // namespace ddpt
