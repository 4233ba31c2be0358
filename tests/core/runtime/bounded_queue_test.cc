#include "core/runtime/bounded_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace ddpt {
namespace {

using std::chrono::steady_clock;
using testing::ElementsAre;
using testing::HasSubstr;

struct Job {
  std::string key;
  Priority priority = Priority::kInteractive;
  StopToken stop;
  std::function<void(const absl::Status&)> on_error = [](const absl::Status&) {};
  int id = 0;
};

Job Named(std::string key, int id) {
  Job job;
  job.key = std::move(key);
  job.id = id;
  return job;
}

Job Background(int id) {
  Job job = Named("z", id);
  job.priority = Priority::kBackground;
  return job;
}

std::vector<int> PopAll(BoundedQueue<Job>& queue) {
  std::vector<int> ids;
  while (auto job = queue.Pop(TimePoint::min())) ids.push_back(job->id);
  return ids;
}

TEST(BoundedQueueTest, RefusesWhenFullNamingTheLimit) {
  BoundedQueue<Job> queue(2);
  EXPECT_TRUE(queue.Push(Named("a", 1)).ok());
  EXPECT_TRUE(queue.Push(Named("b", 2)).ok());
  const absl::Status refused = queue.Push(Named("c", 3));
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(refused.message(), HasSubstr("limit of 2"));
  EXPECT_EQ(queue.size(), 2u);
}

TEST(BoundedQueueTest, OneKeyLeavesInOrder) {
  BoundedQueue<Job> queue(10);
  for (int id : {1, 2, 3}) EXPECT_TRUE(queue.Push(Named("a", id)).ok());
  EXPECT_THAT(PopAll(queue), ElementsAre(1, 2, 3));
}

TEST(BoundedQueueTest, KeysTakeTurns) {
  BoundedQueue<Job> queue(10);
  for (int id : {1, 2, 3}) EXPECT_TRUE(queue.Push(Named("a", id)).ok());
  for (int id : {11, 12}) EXPECT_TRUE(queue.Push(Named("b", id)).ok());
  EXPECT_TRUE(queue.Push(Named("c", 21)).ok());
  EXPECT_THAT(PopAll(queue), ElementsAre(1, 11, 21, 2, 12, 3));
}

TEST(BoundedQueueTest, InteractiveLeavesBeforeBackground) {
  BoundedQueue<Job> queue(10);
  EXPECT_TRUE(queue.Push(Background(1)).ok());
  EXPECT_TRUE(queue.Push(Background(2)).ok());
  EXPECT_TRUE(queue.Push(Named("a", 3)).ok());
  EXPECT_THAT(PopAll(queue), ElementsAre(3, 1, 2));
}

TEST(BoundedQueueTest, StoppedJobsAreToldAndSkipped) {
  BoundedQueue<Job> queue(10);
  std::vector<absl::StatusCode> told;
  const auto tell = [&](const absl::Status& status) { told.push_back(status.code()); };
  StopSource cancelled, expired(steady_clock::now());
  for (const StopSource* source : {&cancelled, &expired}) {
    Job job = Named("a", 1);
    job.stop = source->token();
    job.on_error = tell;
    EXPECT_TRUE(queue.Push(std::move(job)).ok());
  }
  EXPECT_TRUE(queue.Push(Named("a", 2)).ok());
  cancelled.Cancel();
  EXPECT_THAT(PopAll(queue), ElementsAre(2));
  EXPECT_THAT(told, ElementsAre(absl::StatusCode::kCancelled, absl::StatusCode::kDeadlineExceeded));
}

TEST(BoundedQueueTest, StoppedJobsMakeRoom) {
  BoundedQueue<Job> queue(3);
  std::vector<absl::StatusCode> told;
  StopSource cancelled;
  for (const char* key : {"a", "b"}) {
    Job job = Named(key, 1);
    job.stop = cancelled.token();
    job.on_error = [&](const absl::Status& status) { told.push_back(status.code()); };
    EXPECT_TRUE(queue.Push(std::move(job)).ok());
  }
  EXPECT_TRUE(queue.Push(Named("a", 2)).ok());
  cancelled.Cancel();
  EXPECT_TRUE(queue.Push(Named("b", 3)).ok());
  EXPECT_THAT(told, ElementsAre(absl::StatusCode::kCancelled, absl::StatusCode::kCancelled));
  EXPECT_THAT(PopAll(queue), ElementsAre(2, 3));
}

TEST(BoundedQueueTest, PopGivesUpAtItsDeadline) {
  BoundedQueue<Job> queue(1);
  EXPECT_FALSE(queue.Pop(steady_clock::now() + std::chrono::milliseconds(1)).has_value());
}

TEST(BoundedQueueTest, CloseRefusesAndDrains) {
  BoundedQueue<Job> queue(10);
  EXPECT_TRUE(queue.Push(Named("a", 1)).ok());
  queue.Close();
  EXPECT_EQ(queue.Push(Named("a", 2)).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(queue.Pop(TimePoint::max())->id, 1);
  EXPECT_FALSE(queue.Pop(TimePoint::max()).has_value());
}

TEST(BoundedQueueTest, CloseWakesAWaitingConsumer) {
  BoundedQueue<Job> queue(10);
  std::thread consumer([&] { EXPECT_FALSE(queue.Pop(TimePoint::max()).has_value()); });
  queue.Close();
  consumer.join();
}

TEST(BoundedQueueTest, RequeuePassesTheLimitAndAClosedDoor) {
  BoundedQueue<Job> queue(1);
  EXPECT_TRUE(queue.Push(Named("a", 1)).ok());
  queue.Close();
  queue.Requeue(Named("a", 2));
  EXPECT_THAT(PopAll(queue), ElementsAre(1, 2));
}

TEST(BoundedQueueTest, DropAllTellsTheQueuedAndTheRequeued) {
  BoundedQueue<Job> queue(10);
  int told = 0;
  Job job = Named("a", 1);
  job.on_error = [&](const absl::Status& status) {
    EXPECT_EQ(status.message(), "over");
    ++told;
  };
  EXPECT_TRUE(queue.Push(job).ok());
  queue.DropAll(absl::UnavailableError("over"));
  EXPECT_EQ(told, 1);
  queue.Requeue(job);
  EXPECT_EQ(told, 2);
  EXPECT_EQ(queue.size(), 0u);
}

TEST(BoundedQueueTest, ManyProducersAndConsumersLoseNothing) {
  constexpr int kProducers = 4, kConsumers = 4, kJobs = 5'000;
  BoundedQueue<Job> queue(64);
  std::atomic<int> popped{0}, pushed{0}, refused{0};
  std::vector<std::thread> producers, consumers;
  for (int c = 0; c < kConsumers; ++c) {
    consumers.emplace_back([&] {
      while (queue.Pop(TimePoint::max())) ++popped;
    });
  }
  for (int p = 0; p < kProducers; ++p) {
    producers.emplace_back([&, p] {
      for (int i = 0; i < kJobs; ++i) {
        ++(queue.Push(Named(std::to_string((i + p) % 7), i)).ok() ? pushed : refused);
      }
    });
  }
  for (std::thread& thread : producers) thread.join();
  queue.Close();
  for (std::thread& thread : consumers) thread.join();
  EXPECT_EQ(pushed + refused, kProducers * kJobs);
  EXPECT_EQ(popped, pushed);
}

}  // namespace
}  // namespace ddpt
