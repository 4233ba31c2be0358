#include "core/tuning/gradient_tuner.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace ddpt {
namespace {

constexpr int64_t kSteps = 2000;

// Of numbers that are spread evenly.
double MeanTimeStep(double power) {
  constexpr int kDraws = 10'000;
  double sum = 0;
  for (int i = 0; i < kDraws; ++i) {
    sum += static_cast<double>(TimeStep((i + 0.5) / kDraws, kSteps, power));
  }
  return sum / kDraws;
}

TEST(TimeStepTest, TheyAreThoseOfTheSchedule) {
  for (const double power : {0.3, 1.0, 3.0}) {
    EXPECT_EQ(TimeStep(0, kSteps, power), 0);
    EXPECT_EQ(TimeStep(0xffffffff * 0x1p-32, kSteps, power), kSteps - 1);
  }
  EXPECT_EQ(TimeStep(0.5, kSteps, 1e-300), kSteps - 1);
}

TEST(TimeStepTest, ByDefaultAllAreAsLikely) {
  for (int64_t t = 0; t < kSteps; ++t) {
    EXPECT_EQ(TimeStep((static_cast<double>(t) + 0.5) / kSteps, kSteps, 1), t);
  }
}

// The mean of T u^p is T / (p + 1); half a step less for rounding down.
TEST(TimeStepTest, ThePowerChoosesBetweenLittleNoiseAndMuch) {
  EXPECT_NEAR(MeanTimeStep(3), kSteps / 4.0 - 0.5, 1);
  EXPECT_NEAR(MeanTimeStep(0.5), kSteps / 1.5 - 0.5, 1);
}

}  // namespace
}  // namespace ddpt
