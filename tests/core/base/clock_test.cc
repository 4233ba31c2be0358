#include "core/base/clock.h"

#include "gtest/gtest.h"
#include "tests/fakes/fake_clock.h"

namespace ddpt {
namespace {

TEST(ClockTest, SystemClockCountsMicrosecondsSinceTheEpoch) {
  constexpr int64_t kYear2020 = 1'577'836'800'000'000;
  constexpr int64_t kYear2200 = 7'258'118'400'000'000;
  EXPECT_GT(SystemClock().WallMicros(), kYear2020);
  EXPECT_LT(SystemClock().WallMicros(), kYear2200);
}

TEST(ClockTest, FakeClockMovesOnlyWhenTold) {
  FakeClock clock(5);
  EXPECT_EQ(clock.WallMicros(), 5);
  clock.Advance(7);
  EXPECT_EQ(clock.WallMicros(), 12);
  clock.Set(1);
  EXPECT_EQ(clock.WallMicros(), 1);
}

}  // namespace
}  // namespace ddpt
