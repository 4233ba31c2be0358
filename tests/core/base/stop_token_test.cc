#include "core/base/stop_token.h"

#include <thread>

#include "gtest/gtest.h"

namespace ddpt {
namespace {

using std::chrono::hours;
using std::chrono::steady_clock;

TEST(StopTokenTest, DefaultNeverStops) {
  const StopToken token;
  EXPECT_FALSE(token.stopped());
  EXPECT_TRUE(token.status().ok());
  EXPECT_EQ(token.deadline(), TimePoint::max());
}

TEST(StopTokenTest, CancelReachesEveryCopy) {
  StopSource source;
  const StopToken token = source.token();
  const StopToken copy = token;
  EXPECT_FALSE(copy.stopped());
  source.Cancel();
  source.Cancel();
  EXPECT_TRUE(token.stopped());
  EXPECT_EQ(copy.status().code(), absl::StatusCode::kCancelled);
}

TEST(StopTokenTest, PassedDeadlineStops) {
  const TimePoint deadline = steady_clock::now() - hours(1);
  const StopSource source(deadline);
  EXPECT_TRUE(source.token().stopped());
  EXPECT_EQ(source.token().status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(source.token().deadline(), deadline);
}

TEST(StopTokenTest, FutureDeadlineDoesNotStop) {
  const StopSource source(steady_clock::now() + hours(1));
  EXPECT_FALSE(source.token().stopped());
}

TEST(StopTokenTest, OutlivesItsSource) {
  StopToken token;
  {
    StopSource source;
    token = source.token();
    source.Cancel();
  }
  EXPECT_TRUE(token.stopped());
}

TEST(StopTokenTest, CancelFromAnotherThreadEndsALoop) {
  StopSource source;
  std::thread worker([token = source.token()] {
    while (!token.stopped()) std::this_thread::yield();
  });
  source.Cancel();
  worker.join();
  EXPECT_TRUE(source.token().stopped());
}

}  // namespace
}  // namespace ddpt
