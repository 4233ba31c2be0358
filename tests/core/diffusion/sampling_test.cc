#include "core/diffusion/sampling.h"

#include <cmath>
#include <limits>

#include "core/base/status.h"
#include "core/diffusion/schedule.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ddpt {
namespace {

using ::testing::HasSubstr;

SamplerTable Table(Sampler sampler, int64_t steps, double eta = 0, Reading reading = Reading::kX0) {
  DenoiserSpec spec;
  spec.reading = reading;
  return MakeSamplerTable({.sampler = sampler, .steps = steps, .eta = eta}, spec, AlphaBars(spec));
}

TEST(SamplerTableTest, TheLastStepOfEveryDiffusionSamplerReturnsX0) {
  for (const Sampler sampler : {Sampler::kAncestral, Sampler::kDdim, Sampler::kDpmSolverPp2M}) {
    for (const int64_t steps : {1, 2, 50, 2000}) {
      const SamplerStep last = Table(sampler, steps, sampler == Sampler::kDdim).steps.back();
      EXPECT_EQ(last.p, 0);
      EXPECT_EQ(last.q, 1);
      EXPECT_EQ(last.r, 0);
      EXPECT_EQ(last.sigma, 0);
    }
  }
}

// A step that knows the true x0 and noise must land on the marginal of the next level.
TEST(SamplerTableTest, StepsKeepTheMarginals) {
  const auto bars = AlphaBars(DenoiserSpec());
  for (const Sampler sampler : {Sampler::kAncestral, Sampler::kDdim}) {
    const auto table = Table(sampler, 100, sampler == Sampler::kDdim ? 0.7 : 0);
    for (size_t i = 0; i + 1 < table.steps.size(); ++i) {
      const SamplerStep& step = table.steps[i];
      const double from = bars[step.t], to = bars[table.steps[i + 1].t];
      EXPECT_NEAR(step.p * std::sqrt(from) + step.q, std::sqrt(to), 1e-12);
      EXPECT_NEAR(step.p * step.p * (1 - from) + step.sigma * step.sigma, 1 - to, 1e-12);
    }
  }
}

TEST(SamplerTableTest, DdimWithEtaOneIsAncestral) {
  const auto ddim = Table(Sampler::kDdim, 50, 1), ancestral = Table(Sampler::kAncestral, 50);
  for (size_t i = 0; i < 50; ++i) {
    EXPECT_NEAR(ddim.steps[i].p, ancestral.steps[i].p, 1e-12);
    EXPECT_NEAR(ddim.steps[i].q, ancestral.steps[i].q, 1e-12);
    EXPECT_NEAR(ddim.steps[i].sigma, ancestral.steps[i].sigma, 1e-12);
  }
}

TEST(SamplerTableTest, FirstOrderDpmSolverIsDdim) {
  const auto bars = AlphaBars(DenoiserSpec());
  const auto solver = Table(Sampler::kDpmSolverPp2M, 20), ddim = Table(Sampler::kDdim, 20);
  EXPECT_EQ(solver.steps[0].q, ddim.steps[0].q);
  for (size_t i = 0; i + 1 < 20; ++i) {
    const double from = bars[ddim.steps[i].t], to = bars[ddim.steps[i + 1].t];
    const auto log_ratio = [](double bar) { return 0.5 * std::log(bar / (1 - bar)); };
    const double first_order =
        -std::sqrt(to) * std::expm1(log_ratio(from) - log_ratio(to));  // -a' (e^-h - 1)
    EXPECT_NEAR(ddim.steps[i].p, std::sqrt((1 - to) / (1 - from)), 1e-12);
    EXPECT_NEAR(ddim.steps[i].q, first_order, 1e-12);
    // Equal x0_hat in two steps: second order has nothing to add.
    EXPECT_NEAR(solver.steps[i].q + solver.steps[i].r, first_order, 1e-12);
  }
  EXPECT_LT(solver.steps[1].r, 0);
}

TEST(SamplerTableTest, ResidualStepsAddUpToOneJump) {
  for (const int64_t steps : {1, 3, 2000}) {
    const auto table = Table(Sampler::kResidual, steps, 0, Reading::kResidual);
    EXPECT_NEAR(table.direction_sum, 1, 1e-12);
    EXPECT_EQ(table.initial_weight, 1);
    EXPECT_FALSE(table.stochastic);
  }
}

TEST(SamplerTableTest, FinalWeightsReproduceTheRecurrence) {
  const auto table = Table(Sampler::kDpmSolverPp2M, 9, 0, Reading::kX0Residual);
  double x = 1.5, before = 0, predicted = table.initial_weight * 1.5;
  for (size_t i = 0; i < 9; ++i) {
    const double g = std::cos(i);
    const double d = x + g;
    x = table.steps[i].p * x + table.steps[i].q * d + table.steps[i].r * before;
    before = d;
    predicted += table.steps[i].direction_weight * g;
  }
  EXPECT_NEAR(predicted, x, 1e-12);
}

// What lies outside the range of U is never denoised under X0_RESIDUAL.
TEST(SamplerTableTest, ResidualReadingLeaksNoise) {
  const auto ddim = Table(Sampler::kDdim, 2000, 0, Reading::kX0Residual);
  const auto ancestral = Table(Sampler::kAncestral, 2000, 0, Reading::kX0Residual);
  EXPECT_NEAR(ddim.initial_weight, 2.0, 0.5);
  EXPECT_NEAR(std::hypot(ancestral.initial_weight, ancestral.noise_scale), 1.63, 0.1);
}

TEST(SamplerTablesTest, EqualOptionsShareATable) {
  SamplerTables tables{DenoiserSpec()};
  const auto first = tables.Get({.steps = 50});
  EXPECT_EQ(tables.Get({.steps = 50, .guidance_scale = 3}), first);
  EXPECT_NE(tables.Get({.steps = 51}), first);
  EXPECT_NE(tables.Get({.steps = 50, .eta = 0.5}), first);
}

TEST(SamplerTablesTest, TheLastUsedAreKept) {
  SamplerTables tables{DenoiserSpec()};
  const auto first = tables.Get({.steps = 50});
  for (int64_t steps = 1; steps <= 15; ++steps) tables.Get({.steps = steps});
  EXPECT_EQ(tables.Get({.steps = 50}), first);
  for (int64_t steps = 1; steps <= 16; ++steps) tables.Get({.steps = steps});
  EXPECT_NE(tables.Get({.steps = 50}), first);
}

struct BadSampling {
  SamplingOptions options;
  const char* field;
  const char* problem;
};

class ValidateSamplingTest : public ::testing::TestWithParam<BadSampling> {};

TEST_P(ValidateSamplingTest, NamesFieldAndLimit) {
  const absl::Status status = ValidateSampling(GetParam().options, DenoiserSpec());
  EXPECT_EQ(FieldOf(status), GetParam().field);
  EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().problem));
}

INSTANTIATE_TEST_SUITE_P(
    All, ValidateSamplingTest,
    ::testing::Values(
        BadSampling{{.steps = 0}, "sampling.steps", "0 is outside 1..2000"},
        BadSampling{{.steps = 2001}, "sampling.steps", "2001 is outside 1..2000"},
        BadSampling{{.sampler = Sampler::kResidual}, "sampling.sampler", "reading x0"},
        BadSampling{{.eta = 1.5}, "sampling.eta", "1.5 is outside 0..1"},
        BadSampling{{.eta = std::nan("")}, "sampling.eta", "nan is outside 0..1"},
        BadSampling{{.sampler = Sampler::kAncestral, .eta = 0.5}, "sampling.eta", "only ddim"},
        BadSampling{{.guidance_scale = 2}, "sampling.guidance_scale", "takes no condition"},
        BadSampling{{.guidance_scale = std::numeric_limits<double>::infinity()},
                    "sampling.guidance_scale",
                    "inf is outside 0..20"}));

TEST(ValidateSamplingTest, TheResidualReadingTakesItsOwnSamplerOnly) {
  DenoiserSpec spec;
  spec.reading = Reading::kResidual;
  EXPECT_EQ(FieldOf(ValidateSampling({.sampler = Sampler::kDdim}, spec)), "sampling.sampler");
  EXPECT_TRUE(ValidateSampling({.sampler = DefaultSampler(spec.reading)}, spec).ok());
}

}  // namespace
}  // namespace ddpt
