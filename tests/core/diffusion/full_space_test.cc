#include "core/diffusion/full_space.h"

#include <cmath>

#include "core/base/status.h"
#include "tests/core/diffusion/testing.h"

namespace ddpt {
namespace {

TEST(FullSpaceTest, WithoutUpProjectionThePromptIsTheContext) {
  const DenoiserSpec spec = SmallSpec();
  DenoiserWeights weights = RandomWeights(spec, 1);
  weights.up_weight.assign(weights.up_weight.size(), 0);
  weights.up_bias.assign(weights.up_bias.size(), 0);
  const auto denoiser = MakeDenoiser(spec, weights);
  const auto prompt = FullSpaceSampler<float>(denoiser).Sample({.options = {.steps = 20}});
  EXPECT_EQ(*prompt, weights.context);
}

TEST(FullSpaceTest, OneStepIsOneDenoising) {
  const DenoiserSpec spec = SmallSpec();
  DenoiserWeights weights = ZeroWeights(spec);
  for (size_t i = 0; i < weights.up_bias.size(); ++i) weights.up_bias[i] = i;
  const auto denoiser = MakeDenoiser(spec, weights);
  const auto prompt = FullSpaceSampler<float>(denoiser).Sample({.options = {.steps = 1}});
  EXPECT_EQ(*prompt, weights.up_bias);
}

TEST(FullSpaceTest, StopsWhenCancelled) {
  StopSource source;
  source.Cancel();
  const FullSpaceSampler<float> sampler(RandomDenoiser(SmallSpec(), 1).value());
  const auto prompt = sampler.Sample({.options = {.steps = 20}}, source.token());
  EXPECT_EQ(prompt.status().code(), absl::StatusCode::kCancelled);
}

TEST(FullSpaceTest, NamesTheStepThatIsNotFinite) {
  const DenoiserSpec spec = SmallSpec();
  DenoiserWeights weights = RandomWeights(spec, 1);
  weights.up_bias.assign(weights.up_bias.size(), 3e38f);
  const FullSpaceSampler<float> sampler(MakeDenoiser(spec, weights));
  const auto prompt = sampler.Sample({.options = {.steps = 20}});
  EXPECT_EQ(prompt.status().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(prompt.status().message()), ::testing::HasSubstr("of 20 (t = "));
}

TEST(FullSpaceTest, RefusesInvalidOptions) {
  const FullSpaceSampler<double> sampler(RandomDenoiser(SmallSpec(), 1).value());
  EXPECT_EQ(FieldOf(sampler.Sample({.options = {.steps = 201}}).status()), "sampling.steps");
}

}  // namespace
}  // namespace ddpt
