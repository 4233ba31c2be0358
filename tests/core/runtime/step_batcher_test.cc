#include "core/runtime/step_batcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/core/runtime/step_fakes.h"

namespace ddpt {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using testing::Each;
using testing::ElementsAre;

constexpr uint64_t kForEver = uint64_t{1} << 60;

// Everything runs inline, inside the first Submit; hooks of the fakes act in the midst of it.
class StepBatcherTest : public testing::Test {
 protected:
  struct JobOptions {
    std::string name = "a";
    std::string key = "key";
    size_t rows = 1;
    uint64_t steps = 1;
    StopToken stop = {};
    std::function<void()> on_done = nullptr;
  };

  std::shared_ptr<FakeOutcome> Submit(JobOptions options) {
    auto job = std::make_unique<FakeJob>();
    job->world = &world_;
    job->name = options.name;
    job->row_count = options.rows;
    job->steps_per_row = options.steps;
    job->token = options.stop;
    job->on_done = options.on_done;
    auto outcome = job->outcome;
    auto ticket = admission_.Admit(options.key);
    EXPECT_TRUE(ticket.ok()) << ticket.status();
    batcher_.Submit(options.key, std::move(job), *std::move(ticket));
    return outcome;
  }

  // Does `action` in the `n`th step (from 1) of all groups together; notes the width of each.
  void InStep(int n, std::function<void()> action) {
    world_.on_step = [this, n, action = std::move(action)](size_t width) {
      widths_.push_back(width);
      if (static_cast<int>(widths_.size()) == n) action();
    };
  }

  FakeWorld world_;
  std::vector<size_t> widths_;
  std::vector<StepBatcher::Slice> slices_;
  std::vector<nanoseconds> queue_times_;
  Admission admission_{Admission::Options{}};
  std::unique_ptr<StreamPool> pool_ = *StreamPool::Create({.threads = 0});
  // Slices end by steps only, so that their order is the same on every machine.
  StepBatcher batcher_{*pool_,
                       {.slice_steps = 2,
                        .slice_time = seconds(3600),
                        .on_queue_time = [this](nanoseconds time) { queue_times_.push_back(time); },
                        .on_slice = [this](const auto& slice) { slices_.push_back(slice); }}};
};

TEST_F(StepBatcherTest, AJobIsDoneAfterItsSteps) {
  const auto outcome = Submit({.steps = 5});
  EXPECT_EQ(outcome->done, 1);
  EXPECT_TRUE(outcome->status.ok());
  EXPECT_EQ(outcome->steps, 5);
}

TEST_F(StepBatcherTest, TheTicketRunsWithTheJobAndReturnsAfterIt) {
  size_t running = 0, at_done = 0;
  InStep(1, [&] { running = admission_.running(); });
  Submit({.on_done = [&] { at_done = admission_.running(); }});
  EXPECT_EQ(running, 1u);
  EXPECT_EQ(at_done, 1u);
  EXPECT_EQ(admission_.running() + admission_.waiting(), 0u);
}

TEST_F(StepBatcherTest, AJobJoinsAtTheNextStep) {
  std::shared_ptr<FakeOutcome> second;
  InStep(2, [&] { second = Submit({.name = "b", .steps = 2}); });
  const auto first = Submit({.steps = 5});
  EXPECT_THAT(widths_, ElementsAre(1, 1, 2, 2, 1));
  EXPECT_EQ(world_.groups_made, 1);
  EXPECT_EQ(first->done + second->done, 2);
}

TEST_F(StepBatcherTest, AnotherKeyHasItsOwnGroup) {
  std::shared_ptr<FakeOutcome> other;
  InStep(1, [&] { other = Submit({.key = "other"}); });
  Submit({.steps = 2});
  EXPECT_THAT(widths_, Each(1u));
  EXPECT_EQ(world_.groups_made, 2);
  EXPECT_TRUE(other->status.ok());
}

TEST_F(StepBatcherTest, RowsEnterAsRoomAllows) {
  InStep(0, [] {});
  const auto outcome = Submit({.rows = 10, .steps = 2});
  EXPECT_EQ(outcome->done, 1);
  EXPECT_EQ(outcome->steps, 20);
  EXPECT_THAT(widths_, ElementsAre(4, 4, 4, 4, 2, 2));
}

TEST_F(StepBatcherTest, JobsTakeTurnsForFreePlaces) {
  world_.capacity = 1;
  std::vector<std::string> joined;
  world_.on_join = [&](const std::string& name) {
    joined.push_back(name);
    return absl::OkStatus();
  };
  InStep(1, [&] { Submit({.name = "b"}); });
  Submit({.name = "a", .rows = 4});
  EXPECT_THAT(joined, ElementsAre("a", "a", "b", "a", "a"));
}

TEST_F(StepBatcherTest, AJobWaitsForRoomAndIsNotOvertaken) {
  world_.has_room = [](const std::string& name, size_t width) {
    return name != "large" || width == 0;
  };
  std::vector<std::string> joined;
  world_.on_join = [&](const std::string& name) {
    joined.push_back(name);
    return absl::OkStatus();
  };
  InStep(1, [&] {
    Submit({.name = "large"});
    Submit({.name = "small"});
  });
  Submit({.name = "first", .steps = 3});
  EXPECT_THAT(joined, ElementsAre("first", "large", "small"));
  EXPECT_THAT(widths_, ElementsAre(1, 1, 1, 2));
}

TEST_F(StepBatcherTest, AJobThatIsStoppedWhileItWaitsForRoomEnds) {
  world_.has_room = [](const std::string& name, size_t) { return name != "large"; };
  StopSource source;
  std::shared_ptr<FakeOutcome> large, small;
  InStep(1, [&] {
    large = Submit({.name = "large", .stop = source.token()});
    small = Submit({.name = "small"});
  });
  const auto stopper = world_.on_step;
  world_.on_step = [&](size_t width) {
    stopper(width);
    if (widths_.size() == 5) source.Cancel();
  };
  Submit({.name = "first", .steps = 20});
  EXPECT_EQ(large->joined_rows, 0);
  EXPECT_EQ(large->status.code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(small->status.ok());
}

TEST_F(StepBatcherTest, LoadCountsTheRowsOfTheKeyAndTheOtherKeys) {
  StepBatcher::Load own, other, before = batcher_.LoadBeside("a");
  EXPECT_EQ(before.rows + before.keys, 0u);
  InStep(1, [&] {
    Submit({.name = "b", .key = "b", .rows = 2, .steps = 3});
    Submit({.name = "c", .key = "a", .rows = 4, .steps = 3});
    own = batcher_.LoadBeside("a");
    other = batcher_.LoadBeside("z");
  });
  Submit({.name = "a", .key = "a", .rows = 3, .steps = 3});
  EXPECT_EQ(own.rows, 7u);
  EXPECT_EQ(own.keys, 1u);
  EXPECT_EQ(other.rows, 0u);
  EXPECT_EQ(other.keys, 2u);
  EXPECT_EQ(batcher_.LoadBeside("z").keys, 0u);
}

TEST_F(StepBatcherTest, AJobWithoutRowsIsDoneAtOnce) {
  const auto outcome = Submit({.rows = 0});
  EXPECT_EQ(outcome->done, 1);
  EXPECT_TRUE(outcome->status.ok());
}

TEST_F(StepBatcherTest, CancelledBeforeItBeganAJobNeverRuns) {
  StopSource source;
  source.Cancel();
  const auto outcome = Submit({.stop = source.token()});
  EXPECT_EQ(outcome->done, 1);
  EXPECT_EQ(outcome->status.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(outcome->joined_rows, 0);
  EXPECT_EQ(world_.groups_made, 0);
}

TEST_F(StepBatcherTest, ExpiredAJobNeverRuns) {
  const auto outcome = Submit({.stop = StopSource(steady_clock::now()).token()});
  EXPECT_EQ(outcome->done, 1);
  EXPECT_EQ(outcome->status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(outcome->joined_rows, 0);
}

TEST_F(StepBatcherTest, CancelledInTheMidstOfASliceAJobNeverJoins) {
  StopSource source;
  source.Cancel();
  std::shared_ptr<FakeOutcome> late;
  InStep(1, [&] { late = Submit({.stop = source.token()}); });
  Submit({.steps = 2});
  EXPECT_EQ(late->done, 1);
  EXPECT_EQ(late->status.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(late->joined_rows, 0);
}

TEST_F(StepBatcherTest, CancelledWhileItWaitsAJobLeavesTheQueue) {
  world_.capacity = 1;
  StopSource source;
  std::shared_ptr<FakeOutcome> waiting;
  int done_in_step = 0;
  InStep(1, [&] {
    waiting = Submit({.stop = source.token(), .on_done = [&] { done_in_step = widths_.size(); }});
    source.Cancel();
  });
  const auto running = Submit({.steps = 100});
  EXPECT_EQ(waiting->status.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(waiting->joined_rows, 0);
  EXPECT_LE(done_in_step, 2);  // one slice
  EXPECT_TRUE(running->status.ok());
}

TEST_F(StepBatcherTest, CancelledWhileItRunsAJobLeavesWithinOneStepWithAllItsRows) {
  StopSource source;
  std::shared_ptr<FakeOutcome> neighbour;
  InStep(3, [&] {
    neighbour = Submit({.name = "b", .steps = 2});
    source.Cancel();
  });
  const auto outcome = Submit({.rows = 3, .steps = 100, .stop = source.token()});
  EXPECT_EQ(outcome->done, 1);
  EXPECT_EQ(outcome->status.code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(widths_, ElementsAre(3, 3, 3, 1, 1));
  EXPECT_TRUE(neighbour->status.ok());
}

TEST_F(StepBatcherTest, CancelledWithRowsInAndRowsWaitingAJobLeavesOnce) {
  StopSource source;
  InStep(2, [&] { source.Cancel(); });
  const auto outcome = Submit({.rows = 50, .steps = 100, .stop = source.token()});
  EXPECT_EQ(outcome->done, 1);
  EXPECT_EQ(outcome->joined_rows, 4);
  EXPECT_EQ(widths_.size(), 2u);
}

TEST_F(StepBatcherTest, CancelledInItsLastStepAJobIsStillDone) {
  StopSource source;
  InStep(3, [&] { source.Cancel(); });
  const auto outcome = Submit({.steps = 3, .stop = source.token()});
  EXPECT_EQ(outcome->done, 1);
  EXPECT_TRUE(outcome->status.ok());
}

TEST_F(StepBatcherTest, TheDeadlineEndsARunningJob) {
  StopSource source(steady_clock::now() + milliseconds(3));
  const auto outcome = Submit({.steps = kForEver, .stop = source.token()});
  EXPECT_EQ(outcome->done, 1);
  EXPECT_EQ(outcome->status.code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(StepBatcherTest, ARowsErrorEndsItsJobOnly) {
  world_.on_finish = [](const std::string& name) {
    return name == "bad" ? absl::InternalError("step 7 is not finite") : absl::OkStatus();
  };
  std::shared_ptr<FakeOutcome> bad;
  InStep(1, [&] { bad = Submit({.name = "bad", .rows = 3}); });
  const auto good = Submit({.steps = 5});
  EXPECT_EQ(bad->done, 1);
  EXPECT_EQ(bad->status, absl::InternalError("step 7 is not finite"));
  EXPECT_TRUE(good->status.ok());
}

TEST_F(StepBatcherTest, ARefusedRowEndsItsJobOnly) {
  world_.on_join = [](const std::string& name) {
    return name == "bad" ? absl::InvalidArgumentError("condition") : absl::OkStatus();
  };
  std::shared_ptr<FakeOutcome> bad;
  InStep(1, [&] { bad = Submit({.name = "bad"}); });
  const auto good = Submit({.steps = 5});
  EXPECT_EQ(bad->status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(good->status.ok());
}

TEST_F(StepBatcherTest, AGroupThatCannotBeMadeEndsTheJobThatAskedForIt) {
  world_.on_make_group = [this] {
    return world_.groups_made == 1 ? absl::UnavailableError("device") : absl::OkStatus();
  };
  EXPECT_EQ(Submit({})->status.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(Submit({})->status.ok());
}

TEST_F(StepBatcherTest, AnExceptionEndsThoseInsideAndTheNextGetAFreshGroup) {
  std::shared_ptr<FakeOutcome> neighbour, next;
  world_.on_step = [&](size_t width) {
    widths_.push_back(width);
    if (widths_.size() == 1) neighbour = Submit({.steps = 9});
    if (widths_.size() != 3) return;
    next = Submit({.steps = 2});
    throw std::runtime_error("mat1 and mat2");
  };
  const auto outcome = Submit({.steps = 9});
  for (const auto& inside : {outcome, neighbour}) {
    EXPECT_EQ(inside->done, 1);
    EXPECT_EQ(inside->status, absl::InternalError("mat1 and mat2"));
  }
  EXPECT_EQ(next->done, 1);
  EXPECT_TRUE(next->status.ok());
  EXPECT_EQ(world_.groups_made, 2);
}

TEST_F(StepBatcherTest, AnExceptionEndsNoneThatWaitForRoom) {
  world_.capacity = 1;
  std::shared_ptr<FakeOutcome> waiting;
  world_.on_step = [&](size_t width) {
    widths_.push_back(width);
    if (widths_.size() == 1) waiting = Submit({.steps = 2});
    if (widths_.size() == 3) throw std::runtime_error("mat1 and mat2");
  };
  EXPECT_EQ(Submit({.steps = 9})->status, absl::InternalError("mat1 and mat2"));
  EXPECT_EQ(waiting->done, 1);
  EXPECT_TRUE(waiting->status.ok());
}

TEST_F(StepBatcherTest, LackOfMemoryForTheGroupIsToldAsSuch) {
  world_.on_make_group = []() -> absl::Status { throw std::bad_alloc(); };
  const auto outcome = Submit({});
  EXPECT_EQ(outcome->done, 1);
  EXPECT_EQ(outcome->status.code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(StepBatcherTest, AJobThatThePoolRefusesEndsWithItsStatus) {
  ASSERT_TRUE(pool_->Stop(steady_clock::now()).ok());
  const auto outcome = Submit({});
  EXPECT_EQ(outcome->done, 1);
  EXPECT_EQ(outcome->status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(admission_.waiting(), 0u);
}

TEST_F(StepBatcherTest, StopEndsThoseInsideThoseWaitingAndThoseToCome) {
  world_.capacity = 1;
  std::shared_ptr<FakeOutcome> waiting;
  InStep(3, [&] {
    waiting = Submit({});
    batcher_.Stop();
  });
  const auto inside = Submit({.steps = kForEver});
  for (const auto& outcome : {inside, waiting, Submit({})}) {
    EXPECT_EQ(outcome->done, 1);
    EXPECT_EQ(outcome->status.code(), absl::StatusCode::kUnavailable);
  }
  EXPECT_EQ(widths_.size(), 3u);
}

TEST_F(StepBatcherTest, GroupsTakeTurnsBySlices) {
  std::vector<std::string> joined_or_done;
  const auto note = [&](std::string what) { return [&, what] { joined_or_done.push_back(what); }; };
  InStep(1, [&] {
    Submit({.key = "second", .steps = 4, .on_done = note("second")});
    Submit({.key = "third", .steps = 2, .on_done = note("third")});
  });
  Submit({.key = "first", .steps = 6, .on_done = note("first")});
  EXPECT_THAT(joined_or_done, ElementsAre("third", "second", "first"));
}

TEST_F(StepBatcherTest, AGroupYieldsToOtherWorkAtASliceBoundary) {
  size_t ran_after = 0;
  InStep(1, [&] {
    Work work{
        .key = "other", .priority = Priority::kInteractive, .stop = {}, .run = {}, .on_error = {}};
    work.run = [&](Stream&) {
      ran_after = widths_.size();
      return Progress::kDone;
    };
    ASSERT_TRUE(pool_->Submit(std::move(work)).ok());
  });
  EXPECT_TRUE(Submit({.steps = 100})->status.ok());
  EXPECT_EQ(ran_after, 2u);
}

TEST_F(StepBatcherTest, AStreamOfShortJobsYieldsToo) {
  int finished = 0, finished_before_other = 0;
  std::function<void()> again = [&] {
    if (++finished < 50) Submit({.on_done = again});
  };
  InStep(1,
         [&] { Submit({.key = "other", .on_done = [&] { finished_before_other = finished; }}); });
  Submit({.on_done = again});
  EXPECT_EQ(finished, 50);
  EXPECT_LE(finished_before_other, 2);
}

TEST_F(StepBatcherTest, TheObserversSeeEveryStepAndEveryWait) {
  Submit({.rows = 3, .steps = 5});
  Submit({.steps = 2});
  size_t steps = 0, row_steps = 0;
  for (const auto& slice : slices_) {
    EXPECT_LE(slice.steps, 2u);
    EXPECT_GT(slice.time.count(), 0);
    steps += slice.steps;
    row_steps += slice.row_steps;
  }
  EXPECT_EQ(steps, 7u);
  EXPECT_EQ(row_steps, 17u);
  EXPECT_EQ(queue_times_.size(), 2u);
}

TEST_F(StepBatcherTest, StatsTellTheWidestBatchAndTheTimes) {
  std::shared_ptr<FakeOutcome> second;
  InStep(3, [&] { second = Submit({.rows = 2, .steps = 1}); });
  const auto first = Submit({.steps = 6});
  EXPECT_EQ(first->stats.batch_width, 3u);
  EXPECT_EQ(second->stats.batch_width, 3u);
  EXPECT_GT(first->stats.run_time.count(), 0);
  EXPECT_GE(first->stats.queue_time.count(), 0);
}

}  // namespace
}  // namespace ddpt
