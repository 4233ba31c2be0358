#include "core/diffusion/sampling_cost.h"

#include "tests/core/diffusion/testing.h"

namespace ddpt {
namespace {

using Time = SamplingCost::Time;

TEST(SamplingCostTest, AStepCostsMoreByRowsAndNoise) {
  const SamplingCost cost{.ends = Time(9), .step = Time(3), .row = Time(1), .noise = Time(0.5)};
  EXPECT_EQ(cost.Step(1, false), Time(3));
  EXPECT_EQ(cost.Step(4, false), Time(6));
  EXPECT_EQ(cost.Step(4, true), Time(8));
}

TEST(SamplingCostTest, TheEndsAreTakenFromTheTimeFirst) {
  const SamplingCost cost{.ends = Time(9), .step = Time(3), .row = Time(1), .noise = Time(0)};
  EXPECT_EQ(cost.Of(10, 1, false), Time(9 + 30));
  EXPECT_EQ(cost.StepsWithin(Time(9 + 30), 1, false), 10);
  EXPECT_EQ(cost.StepsWithin(Time(2 * 9 + 39), 2, false), 9);
  EXPECT_EQ(cost.StepsWithin(Time(9 + 2), 1, false), 0);
  EXPECT_EQ(cost.StepsWithin(Time(8), 1, false), 0);
  EXPECT_EQ(cost.StepsWithin(Time(-1), 1, false), 0);
}

TEST(SamplingCostTest, MeasuresEveryReading) {
  for (const Reading reading : {Reading::kX0, Reading::kX0Residual, Reading::kResidual}) {
    const auto cost = MeasureSamplingCost(RandomEngine(SmallSpec(reading)));
    ASSERT_TRUE(cost.ok()) << cost.status();
    EXPECT_GT(cost->step, Time(0));
    EXPECT_GT(cost->StepsWithin(Time(60), 1, true), 200);
  }
}

TEST(SamplingCostTest, MeasuresWithHelpers) {
  DenoiserSpec spec = SmallSpec();
  spec.latent = 256;
  const auto cost = MeasureSamplingCost(RandomEngine(spec), 3);
  ASSERT_TRUE(cost.ok()) << cost.status();
  EXPECT_GT(cost->step, Time(0));
}

TEST(SamplingCostTest, MeasuresADenoiserOfASingleStep) {
  DenoiserSpec spec = SmallSpec();
  spec.train_steps = 1;
  const auto cost = MeasureSamplingCost(RandomEngine(spec));
  ASSERT_TRUE(cost.ok()) << cost.status();
  EXPECT_GT(cost->step, Time(0));
}

}  // namespace
}  // namespace ddpt
