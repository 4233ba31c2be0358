#include "core/diffusion/schedule.h"

#include <cmath>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ddpt {
namespace {

using ::testing::ElementsAre;

DenoiserSpec Spec(ScheduleKind schedule, int64_t steps) {
  DenoiserSpec spec;
  spec.schedule = schedule;
  spec.train_steps = steps;
  return spec;
}

TEST(ScheduleTest, LinearEndsWhereTheProductSays) {
  const auto bars = AlphaBars(Spec(ScheduleKind::kLinear, 2000));
  double log_sum = 0;
  for (int t = 0; t < 2000; ++t) log_sum += std::log1p(-(1e-4 + 0.0199 * t / 1999));
  EXPECT_NEAR(std::log(bars.back()), log_sum, 1e-10);
  EXPECT_DOUBLE_EQ(bars[0], 1 - 1e-4);
}

TEST(ScheduleTest, CosineFollowsTheSquaredCosine) {
  const auto bars = AlphaBars(Spec(ScheduleKind::kCosine, 1000));
  const auto f = [](double u) { return std::pow(std::cos((u + 0.008) / 1.008 * M_PI / 2), 2); };
  EXPECT_NEAR(bars[499], f(0.5) / f(0), 1e-12);
  EXPECT_GT(bars.back(), 0);
}

TEST(ScheduleTest, AlphaBarFallsStrictlyAtEveryLength) {
  for (const ScheduleKind kind : {ScheduleKind::kLinear, ScheduleKind::kCosine}) {
    for (const int64_t steps : {1, 2, 7, 2000}) {
      double before = 1;
      for (const double bar : AlphaBars(Spec(kind, steps))) {
        EXPECT_LT(bar, before);
        EXPECT_GT(bar, 0);
        before = bar;
      }
    }
  }
}

TEST(ScheduleTest, TrailingSpacingStartsAtTheEnd) {
  EXPECT_THAT(TrailingTimesteps(2000, 4), ElementsAre(1999, 1499, 999, 499));
  EXPECT_THAT(TrailingTimesteps(10, 4), ElementsAre(9, 7, 4, 2));
  EXPECT_THAT(TrailingTimesteps(2000, 1), ElementsAre(1999));
}

TEST(ScheduleTest, TrailingSpacingFallsStrictlyForEveryCount) {
  for (int64_t steps = 1; steps <= 2000; ++steps) {
    const auto times = TrailingTimesteps(2000, steps);
    ASSERT_EQ(times.front(), 1999);
    ASSERT_GE(times.back(), 0);
    for (size_t i = 1; i < times.size(); ++i) ASSERT_LT(times[i], times[i - 1]) << steps;
  }
}

TEST(ScheduleTest, TimeFeaturesAreCosinesThenSines) {
  const auto table = TimeFeatures(2000, 6);
  for (const int64_t t : {0, 1, 777, 1999}) {
    for (int j = 0; j < 3; ++j) {
      const double angle = t * std::pow(10000.0, -j / 3.0);
      EXPECT_NEAR(table[t * 6 + j], std::cos(angle), 1e-7);
      EXPECT_NEAR(table[t * 6 + 3 + j], std::sin(angle), 1e-7);
    }
  }
}

}  // namespace
}  // namespace ddpt
