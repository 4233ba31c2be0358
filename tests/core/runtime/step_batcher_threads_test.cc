#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <latch>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "core/runtime/step_batcher.h"
#include "tests/core/runtime/step_fakes.h"

namespace ddpt {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr uint64_t kForEver = uint64_t{1} << 60;

std::unique_ptr<StreamPool> MakePool(size_t threads) {
  return *StreamPool::Create({.threads = threads});
}

TEST(StepBatcherThreadsTest, ADrainCompletesTheAcceptedAndRefusesTheNew) {
  FakeWorld world;
  Admission admission{Admission::Options{}};
  const auto pool = MakePool(2);
  StepBatcher batcher(*pool, {});
  std::vector<std::shared_ptr<FakeOutcome>> outcomes;
  for (int i = 0; i < 40; ++i) {
    auto job = std::make_unique<FakeJob>();
    job->world = &world;
    job->steps_per_row = 1000;
    outcomes.push_back(job->outcome);
    batcher.Submit(std::to_string(i % 3), std::move(job), *admission.Admit(""));
  }
  admission.Close();
  EXPECT_EQ(admission.Admit("").status().code(), absl::StatusCode::kUnavailable);
  ASSERT_TRUE(admission.WaitIdle(steady_clock::now() + seconds(60)));
  for (const auto& outcome : outcomes) {
    EXPECT_EQ(outcome->done, 1);
    EXPECT_TRUE(outcome->status.ok());
  }
  EXPECT_TRUE(pool->Stop(steady_clock::now() + seconds(60)).ok());
}

TEST(StepBatcherThreadsTest, OneKeyHoldsOneThread) {
  FakeWorld world;
  world.capacity = 1;
  std::atomic<int> inside{0}, most{0};
  world.on_step = [&](size_t) {
    most = std::max(most.load(), ++inside);
    --inside;
  };
  Admission admission{Admission::Options{}};
  const auto pool = MakePool(4);
  StepBatcher batcher(*pool, {.slice_steps = 3});
  for (int i = 0; i < 50; ++i) {
    auto job = std::make_unique<FakeJob>();
    job->world = &world;
    job->steps_per_row = 20;
    batcher.Submit("key", std::move(job), *admission.Admit(""));
  }
  ASSERT_TRUE(admission.WaitIdle(steady_clock::now() + seconds(60)));
  EXPECT_EQ(most, 1);
}

TEST(StepBatcherThreadsTest, AnIdleThreadHelpsAndLeavesWhenOtherWorkComes) {
  FakeWorld world;
  std::latch helping(1), other_done(1);
  std::atomic<bool> helped = false;
  world.useful_helpers = 1;
  world.on_help = [&](const std::function<bool()>& leave) {
    if (helped.exchange(true)) return;
    helping.count_down();
    while (!leave()) std::this_thread::yield();
  };
  const auto pool = MakePool(2);
  // The thread that steps keeps to its slice, so only the helper can take up other work.
  StepBatcher batcher(*pool, {.slice_steps = kForEver, .slice_time = std::chrono::hours(1)});
  StopSource source;
  auto job = std::make_unique<FakeJob>();
  job->world = &world;
  job->steps_per_row = kForEver;
  job->token = source.token();
  batcher.Submit("a", std::move(job), Admission::Ticket());
  helping.wait();
  ASSERT_TRUE(pool->Submit({.key = "b",
                            .run =
                                [&](Stream&) {
                                  other_done.count_down();
                                  return Progress::kDone;
                                },
                            .on_error = [](const absl::Status&) {}})
                  .ok());
  other_done.wait();
  source.Cancel();
}

TEST(StepBatcherThreadsTest, WithoutAnIdleThreadNobodyHelps) {
  FakeWorld world;
  std::atomic<int> calls = 0;
  world.useful_helpers = 1;
  world.on_help = [&](const std::function<bool()>&) { ++calls; };
  Admission admission{Admission::Options{}};
  const auto pool = MakePool(1);
  StepBatcher batcher(*pool, {.slice_steps = 2});
  auto job = std::make_unique<FakeJob>();
  job->world = &world;
  job->steps_per_row = 100;
  batcher.Submit("a", std::move(job), *admission.Admit(""));
  ASSERT_TRUE(admission.WaitIdle(steady_clock::now() + seconds(60)));
  EXPECT_EQ(calls, 0);
}

// A thousand times: at a random step a random job is cancelled, and takes no further step.
TEST(StepBatcherThreadsTest, ACancelledJobLeavesBeforeTheNextStep) {
  constexpr int kJobs = 1000;
  struct Running {
    StopSource source;
    std::shared_ptr<FakeOutcome> outcome;
    int steps_when_cancelled = -1;
  };
  std::vector<Running> jobs(kJobs);
  FakeWorld world;
  world.capacity = 16;
  std::mt19937 random(1);
  std::vector<int> inside;
  int entered = 0;
  world.on_join = [&](const std::string& name) {
    inside.push_back(std::stoi(name));
    ++entered;
    return absl::OkStatus();
  };
  // The step under way still counts for the job.
  world.on_step = [&](size_t) {
    if (random() % 3 > 0 && entered < kJobs) return;
    std::swap(inside[random() % inside.size()], inside.back());
    Running& job = jobs[inside.back()];
    inside.pop_back();
    job.steps_when_cancelled = job.outcome->steps + 1;
    job.source.Cancel();
  };
  Admission admission{{.limit = kJobs, .limit_per_key = kJobs}};
  const auto pool = MakePool(1);
  StepBatcher batcher(*pool, {});
  for (int i = 0; i < kJobs; ++i) {
    auto job = std::make_unique<FakeJob>();
    job->world = &world;
    job->name = std::to_string(i);
    job->steps_per_row = kForEver;
    job->token = jobs[i].source.token();
    jobs[i].outcome = job->outcome;
    batcher.Submit("key", std::move(job), *admission.Admit(""));
  }
  ASSERT_TRUE(admission.WaitIdle(steady_clock::now() + seconds(60)));
  for (const Running& job : jobs) {
    EXPECT_EQ(job.outcome->status.code(), absl::StatusCode::kCancelled);
    EXPECT_EQ(job.outcome->steps, job.steps_when_cancelled);
  }
}

TEST(StepBatcherThreadsTest, DestructionEndsWhatIsStillThere) {
  FakeWorld world;
  const auto pool = MakePool(1);
  std::latch stepped(1);
  std::atomic<int> steps{0};
  world.on_step = [&](size_t) {
    if (steps.fetch_add(1) == 0) stepped.count_down();
  };
  std::vector<std::shared_ptr<FakeOutcome>> outcomes;
  {
    StepBatcher batcher(*pool, {});
    for (const char* key : {"a", "b", "a"}) {
      auto job = std::make_unique<FakeJob>();
      job->world = &world;
      job->steps_per_row = kForEver;
      outcomes.push_back(job->outcome);
      batcher.Submit(key, std::move(job), Admission::Ticket());
    }
    stepped.wait();
  }
  for (const auto& outcome : outcomes) {
    EXPECT_EQ(outcome->done, 1);
    EXPECT_EQ(outcome->status.code(), absl::StatusCode::kUnavailable);
  }
}

TEST(StepBatcherThreadsTest, APoolThatStopsFirstEndsTheJobs) {
  FakeWorld world;
  auto pool = MakePool(1);
  std::latch holding(1), release(1);
  Work holder;
  holder.key = "holder";
  holder.run = [&](Stream&) {
    holding.count_down();
    release.wait();
    return Progress::kDone;
  };
  holder.on_error = [](const absl::Status&) {};
  ASSERT_TRUE(pool->Submit(std::move(holder)).ok());
  holding.wait();
  StepBatcher batcher(*pool, {});
  auto job = std::make_unique<FakeJob>();
  job->world = &world;
  const auto outcome = job->outcome;
  batcher.Submit("a", std::move(job), Admission::Ticket());
  EXPECT_FALSE(pool->Stop(steady_clock::now()).ok());
  EXPECT_EQ(outcome->done, 1);
  EXPECT_EQ(outcome->status.code(), absl::StatusCode::kUnavailable);
  release.count_down();
}

}  // namespace
}  // namespace ddpt
