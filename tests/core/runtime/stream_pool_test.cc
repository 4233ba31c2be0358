#include "core/runtime/stream_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <latch>
#include <mutex>
#include <new>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "core/base/status.h"

namespace ddpt {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;
using testing::ElementsAre;

std::unique_ptr<StreamPool> MakePool(StreamPool::Options options) {
  auto pool = StreamPool::Create(std::move(options));
  EXPECT_TRUE(pool.ok()) << pool.status();
  return *std::move(pool);
}

Work Do(std::string key, std::function<void()> action) {
  Work work;
  work.key = std::move(key);
  work.run = [action = std::move(action)](Stream&) {
    action();
    return Progress::kDone;
  };
  work.on_error = [](const absl::Status& status) { ADD_FAILURE() << status; };
  return work;
}

// Every test of this suite runs inline and on threads.
class StreamPoolTest : public testing::TestWithParam<size_t> {
 protected:
  TimePoint Soon() const { return steady_clock::now() + seconds(60); }
  std::unique_ptr<StreamPool> pool_ = MakePool({.threads = GetParam()});
};
INSTANTIATE_TEST_SUITE_P(Threads, StreamPoolTest, testing::Values(0, 1, 3));

TEST_P(StreamPoolTest, RunsWhatIsSubmitted) {
  std::atomic<int> ran{0};
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(pool_->Submit(Do("a", [&] { ++ran; })).ok());
  EXPECT_TRUE(pool_->Stop(Soon()).ok());
  EXPECT_EQ(ran, 100);
}

TEST_P(StreamPoolTest, AnExceptionBecomesInternalAndThePoolLivesOn) {
  absl::Status told;
  Work bad = Do("a", [] { throw std::runtime_error("shape mismatch\nframe #0: secret"); });
  bad.on_error = [&](const absl::Status& status) { told = status; };
  std::atomic<bool> ran{false};
  ASSERT_TRUE(pool_->Submit(std::move(bad)).ok());
  ASSERT_TRUE(pool_->Submit(Do("a", [&] { ran = true; })).ok());
  EXPECT_TRUE(pool_->Stop(Soon()).ok());
  EXPECT_EQ(told, absl::InternalError("shape mismatch"));
  EXPECT_TRUE(ran);
  EXPECT_TRUE(pool_->health().ok());
}

TEST_P(StreamPoolTest, LackOfMemoryBecomesResourceExhausted) {
  std::atomic<int> exhausted{0};
  const auto tell = [&](const absl::Status& status) {
    exhausted += absl::IsResourceExhausted(status);
  };
  Work plain = Do("a", [] { throw std::bad_alloc(); });
  Work torch = Do("a", [] { throw std::runtime_error("CUDA out of memory. Tried 2 GiB"); });
  plain.on_error = torch.on_error = tell;
  ASSERT_TRUE(pool_->Submit(std::move(plain)).ok());
  ASSERT_TRUE(pool_->Submit(std::move(torch)).ok());
  EXPECT_TRUE(pool_->Stop(Soon()).ok());
  EXPECT_EQ(exhausted, 2);
}

TEST_P(StreamPoolTest, WorkYieldsUntilItIsDone) {
  int left = 5;
  Work work = Do("a", [] {});
  work.run = [&](Stream&) { return --left > 0 ? Progress::kYield : Progress::kDone; };
  ASSERT_TRUE(pool_->Submit(std::move(work)).ok());
  EXPECT_TRUE(pool_->Stop(Soon()).ok());
  EXPECT_EQ(left, 0);
}

TEST_P(StreamPoolTest, CancelledWorkStopsAtItsYield) {
  StopSource source;
  int runs = 0;
  absl::Status told;
  Work work = Do("a", [] {});
  work.stop = source.token();
  work.run = [&](Stream&) {
    if (++runs == 3) source.Cancel();
    return Progress::kYield;
  };
  work.on_error = [&](const absl::Status& status) { told = status; };
  ASSERT_TRUE(pool_->Submit(std::move(work)).ok());
  EXPECT_TRUE(pool_->Stop(Soon()).ok());
  EXPECT_EQ(runs, 3);
  EXPECT_EQ(told.code(), absl::StatusCode::kCancelled);
}

TEST_P(StreamPoolTest, ExpiredWorkNeverRuns) {
  StopSource expired(steady_clock::now());
  bool ran = false;
  absl::Status told;
  Work work = Do("a", [&] { ran = true; });
  work.stop = expired.token();
  work.on_error = [&](const absl::Status& status) { told = status; };
  ASSERT_TRUE(pool_->Submit(std::move(work)).ok());
  EXPECT_TRUE(pool_->Stop(Soon()).ok());
  EXPECT_FALSE(ran);
  EXPECT_EQ(told.code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_P(StreamPoolTest, RefusesAfterStop) {
  EXPECT_TRUE(pool_->Stop(Soon()).ok());
  EXPECT_EQ(pool_->Submit(Do("a", [] {})).code(), absl::StatusCode::kUnavailable);
}

TEST(StreamPoolOptionsTest, RefusesWhatIsOutOfRange) {
  EXPECT_EQ(FieldOf(StreamPool::Create({.threads = 257}).status()), "threads");
  EXPECT_EQ(FieldOf(StreamPool::Create({.queue_limit = 0}).status()), "queue_limit");
}

TEST(StreamPoolOptionsTest, RefusesAGpuThatIsNotThere) {
  const absl::Status status = StreamPool::Create({.device = 99}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(status.message(), testing::HasSubstr("GPU 99"));
}

// A pool of one thread which is held until Release(), so that all else queues.
class HeldPoolTest : public testing::Test {
 protected:
  HeldPoolTest() {
    EXPECT_TRUE(pool_
                    ->Submit(Do("holder",
                                [this] {
                                  holding_.count_down();
                                  release_.wait();
                                }))
                    .ok());
    holding_.wait();
  }
  void Release() { release_.count_down(); }
  void Submit(const std::string& key, Priority priority = Priority::kInteractive) {
    Work work = Do(key, [this, key] { order_.push_back(key); });
    work.priority = priority;
    ASSERT_TRUE(pool_->Submit(std::move(work)).ok());
  }
  void ReleaseAndDrain() {
    Release();
    EXPECT_TRUE(pool_->Stop(steady_clock::now() + seconds(60)).ok());
  }

  std::latch holding_{1}, release_{1};
  std::vector<std::string> order_;
  std::atomic<int> waits_{0};
  std::unique_ptr<StreamPool> pool_ =
      MakePool({.threads = 1, .queue_limit = 6, .on_wait = [this](auto) { ++waits_; }});
};

TEST_F(HeldPoolTest, TwoKeysTakeTurns) {
  for (const char* key : {"a", "a", "a", "b", "b"}) Submit(key);
  ReleaseAndDrain();
  EXPECT_THAT(order_, ElementsAre("a", "b", "a", "b", "a"));
}

TEST_F(HeldPoolTest, InteractiveRunsBeforeBackground) {
  Submit("train", Priority::kBackground);
  Submit("a");
  Submit("b");
  ReleaseAndDrain();
  EXPECT_THAT(order_, ElementsAre("a", "b", "train"));
}

TEST_F(HeldPoolTest, RefusesWhenFullWithoutACall) {
  for (int i = 0; i < 6; ++i) Submit("a");
  EXPECT_EQ(pool_->Submit(Do("b", [] { FAIL(); })).code(), absl::StatusCode::kResourceExhausted);
  ReleaseAndDrain();
  EXPECT_EQ(order_.size(), 6u);
}

TEST_F(HeldPoolTest, GaugesTellBusyAndWaiting) {
  Submit("a");
  EXPECT_EQ(pool_->threads(), 1u);
  EXPECT_EQ(pool_->busy(), 1u);
  EXPECT_EQ(pool_->waiting(), 1u);
  EXPECT_TRUE(pool_->contended());
  ReleaseAndDrain();
  EXPECT_EQ(pool_->busy(), 0u);
  EXPECT_FALSE(pool_->contended());
  EXPECT_EQ(waits_, 2);
}

TEST_F(HeldPoolTest, StopAtItsDeadlineDropsTheQueuedAndTheYielding) {
  int told = 0;
  Work queued = Do("a", [] { FAIL(); });
  queued.on_error = [&](const absl::Status& status) {
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
    ++told;
  };
  ASSERT_TRUE(pool_->Submit(queued).ok());
  EXPECT_EQ(pool_->Stop(steady_clock::now()).code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(told, 1);
  Release();
}

TEST_F(HeldPoolTest, AYieldAfterStopIsTold) {
  std::latch running(1), stopped(1);
  int told = 0;
  Work yielding = Do("a", [] {});
  yielding.run = [&](Stream&) {
    running.count_down();
    stopped.wait();
    return Progress::kYield;
  };
  yielding.on_error = [&](const absl::Status& status) {
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
    ++told;
  };
  ASSERT_TRUE(pool_->Submit(yielding).ok());
  Release();
  running.wait();
  EXPECT_EQ(pool_->Stop(steady_clock::now()).code(), absl::StatusCode::kDeadlineExceeded);
  stopped.count_down();
  pool_.reset();
  EXPECT_EQ(told, 1);
}

TEST(StreamPoolThreadsTest, EachThreadOwnsOneStream) {
  auto pool = MakePool({.threads = 3});
  std::latch together(3);
  std::mutex mutex;
  std::set<const Stream*> streams;
  for (int i = 0; i < 3; ++i) {
    Work work = Do("a", [] {});
    work.run = [&](Stream& stream) {
      together.arrive_and_wait();
      std::lock_guard lock(mutex);
      streams.insert(&stream);
      return Progress::kDone;
    };
    ASSERT_TRUE(pool->Submit(std::move(work)).ok());
  }
  EXPECT_TRUE(pool->Stop(steady_clock::now() + seconds(60)).ok());
  EXPECT_EQ(streams.size(), 3u);
}

TEST(StreamPoolGpuTest, WorkGetsAStreamOfTheGpu) {
  auto pool = StreamPool::Create({.threads = 2, .device = 0});
  if (!pool.ok()) GTEST_SKIP() << pool.status();
  Work work = Do("a", [] {});
  work.run = [](Stream& stream) {
    EXPECT_EQ(stream.device(), 0);
    EXPECT_NE(stream.handle(), nullptr);
    EXPECT_TRUE(stream.Synchronize().ok());
    return Progress::kDone;
  };
  ASSERT_TRUE((*pool)->Submit(std::move(work)).ok());
  EXPECT_TRUE((*pool)->Stop(steady_clock::now() + seconds(60)).ok());
}

TEST(StreamPoolInlineTest, WorkSubmittedByWorkRunsAfterItInTurn) {
  auto pool = MakePool({.threads = 0});
  std::vector<std::string> order;
  const auto note = [&](const std::string& key) {
    return Do(key, [&order, key] { order.push_back(key); });
  };
  ASSERT_TRUE(pool->Submit(Do("a",
                              [&] {
                                for (const char* key : {"a", "a", "b"}) {
                                  ASSERT_TRUE(pool->Submit(note(key)).ok());
                                }
                                order.push_back("first");
                              }))
                  .ok());
  EXPECT_THAT(order, ElementsAre("first", "a", "b", "a"));
}

// A pool one of whose threads works until the end.
class BusyPool {
 public:
  explicit BusyPool(size_t threads = 1) : pool_(MakePool({.threads = threads})) {
    EXPECT_TRUE(pool_
                    ->Submit(Do("a",
                                [this] {
                                  begun_.count_down();
                                  end_.wait();
                                }))
                    .ok());
    begun_.wait();
  }
  ~BusyPool() { End(); }

  const StreamPool& pool() const { return *pool_; }
  void End() {
    if (!end_.try_wait()) end_.count_down();
  }

 private:
  std::latch begun_{1}, end_{1};
  const std::unique_ptr<StreamPool> pool_;
};

TEST(StreamPoolBehindAnotherTest, WorkGivesWayUntilTheOtherHasAnIdleThread) {
  BusyPool front;
  std::latch giving(1);
  size_t idle = 0;
  const auto pool = MakePool({.threads = 1, .behind = &front.pool(), .patience = seconds(60)});
  ASSERT_TRUE(pool->Submit(Do("job",
                              [&] {
                                giving.count_down();
                                pool->GiveWay();
                                idle = front.pool().idle();
                              }))
                  .ok());
  giving.wait();
  front.End();
  EXPECT_TRUE(pool->Stop(steady_clock::now() + seconds(60)).ok());
  EXPECT_EQ(idle, 1u);
}

TEST(StreamPoolBehindAnotherTest, OneIdleThreadIsNotToSpareWhileOthersWork) {
  const auto spare_of = [](size_t threads) {
    const BusyPool one_works(threads);
    return one_works.pool().has_spare_thread();
  };
  EXPECT_FALSE(spare_of(2));
  EXPECT_TRUE(spare_of(3));
  EXPECT_TRUE(MakePool({.threads = 1})->has_spare_thread());
}

TEST(StreamPoolBehindAnotherTest, PatienceEnds) {
  const BusyPool front;
  const auto pool =
      MakePool({.threads = 1, .behind = &front.pool(), .patience = std::chrono::milliseconds(1)});
  size_t idle = 1;
  ASSERT_TRUE(pool->Submit(Do("job",
                              [&] {
                                pool->GiveWay();
                                idle = front.pool().idle();
                              }))
                  .ok());
  EXPECT_TRUE(pool->Stop(steady_clock::now() + seconds(60)).ok());
  EXPECT_EQ(idle, 0u);
}

}  // namespace
}  // namespace ddpt
