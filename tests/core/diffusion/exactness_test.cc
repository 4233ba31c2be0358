// The latent loop equals the full-space loop: every reading, every deterministic sampler.
#include "core/diffusion/full_space.h"
#include "tests/core/diffusion/reference_latent.h"
#include "tests/core/diffusion/testing.h"

namespace ddpt {
namespace {

struct Case {
  Reading reading;
  Sampler sampler;
  int64_t steps;
};

std::vector<Case> AllCases() {
  std::vector<Case> cases;
  for (const Reading reading : {Reading::kX0, Reading::kX0Residual, Reading::kResidual}) {
    for (const Sampler sampler : DeterministicSamplers(reading)) {
      for (const int64_t steps : {2000, 50, 10, 1}) cases.push_back({reading, sampler, steps});
    }
  }
  return cases;
}

class ExactnessTest : public ::testing::TestWithParam<Case> {
 protected:
  ExactnessTest() {
    DenoiserSpec spec = SmallSpec(GetParam().reading);
    spec.train_steps = 2000;
    spec.schedule = GetParam().steps == 50 ? ScheduleKind::kCosine : ScheduleKind::kLinear;
    denoiser_ = RandomDenoiser(spec, 5).value();
    row_ = {.seed = 11, .options = Options(GetParam().sampler, GetParam().steps)};
    row_.initial_noise = Noise(3, spec.size());
  }
  std::shared_ptr<const Denoiser> denoiser_;
  SampleRow row_;
};

TEST_P(ExactnessTest, LatentEqualsFullSpaceInDouble) {
  const std::vector<double> x(row_.initial_noise.begin(), row_.initial_noise.end());
  const auto full = FullSpaceSampler<double>(denoiser_).Sample(row_);
  EXPECT_LT(RelativeDifference(ReferenceLatent(*denoiser_).SampleFrom(x, row_), *full), 1e-10);
}

TEST_P(ExactnessTest, BatchEqualsFullSpaceInFloat) {
  const auto full = FullSpaceSampler<float>(denoiser_).Sample(row_);
  const auto prompt = RunAlone(LatentEngine::Create(denoiser_).value(), row_);
  EXPECT_LT(RelativeDifference(prompt->data, *full), 1e-4);
}

INSTANTIATE_TEST_SUITE_P(All, ExactnessTest, ::testing::ValuesIn(AllCases()), [](const auto& test) {
  return std::string(Name(test.param.reading)) + "_" + std::string(Name(test.param.sampler)) + "_" +
         std::to_string(test.param.steps);
});

TEST(ExactnessTest, GuidanceEqualsFullSpace) {
  for (const Reading reading : {Reading::kX0, Reading::kX0Residual, Reading::kResidual}) {
    DenoiserSpec spec = SmallSpec(reading);
    spec.condition_width = 6;
    const auto denoiser = RandomDenoiser(spec, 5).value();
    SampleRow row{.options = Options(DefaultSampler(reading), 30), .condition = Noise(8, 6)};
    for (const double scale : {0.0, 1.0, 3.5}) {
      row.options.guidance_scale = scale;
      const auto full = FullSpaceSampler<double>(denoiser).Sample(row);
      const auto prompt = RunAlone(LatentEngine::Create(denoiser).value(), row);
      EXPECT_LT(RelativeDifference(prompt->data, *full), 1e-5) << Name(reading) << " " << scale;
    }
  }
}

TEST(ExactnessTest, NoHiddenLayersAndASingularDownProjection) {
  DenoiserSpec spec = SmallSpec(Reading::kX0Residual);
  spec.layers = 0;
  spec.context_length = 1;
  spec.width = 7;  // h = 19 > D
  const auto denoiser = RandomDenoiser(spec, 5).value();
  const SampleRow row{.options = {.steps = 40}};
  const auto full = FullSpaceSampler<double>(denoiser).Sample(row);
  EXPECT_LT(RelativeDifference(RunAlone(LatentEngine::Create(denoiser).value(), row)->data, *full),
            1e-5);
}

}  // namespace
}  // namespace ddpt
