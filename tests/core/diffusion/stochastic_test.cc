// Latent and full-space step noise give prompts of the same distribution.
#include <cmath>

#include "core/diffusion/full_space.h"
#include "tests/core/diffusion/testing.h"

namespace ddpt {
namespace {

constexpr size_t kDraws = 20000;

struct Moments {
  std::vector<double> mean, covariance;
};

Moments MomentsOf(const std::vector<std::vector<float>>& draws) {
  const size_t size = draws[0].size();
  Moments moments{std::vector<double>(size, 0), std::vector<double>(size * size, 0)};
  for (const auto& draw : draws) {
    for (size_t i = 0; i < size; ++i) moments.mean[i] += draw[i] / draws.size();
  }
  for (const auto& draw : draws) {
    for (size_t i = 0; i < size; ++i) {
      for (size_t j = 0; j < size; ++j) {
        moments.covariance[i * size + j] +=
            (draw[i] - moments.mean[i]) * (draw[j] - moments.mean[j]) / draws.size();
      }
    }
  }
  return moments;
}

std::vector<std::vector<float>> LatentDraws(const std::shared_ptr<const Denoiser>& denoiser,
                                            const SamplingOptions& options) {
  auto batch = LatentBatch::Create(LatentEngine::Create(denoiser).value(), 100).value();
  std::vector<std::vector<float>> draws;
  for (uint64_t next = 0; draws.size() < kDraws;) {
    while (next < kDraws && batch->width() < batch->capacity()) {
      EXPECT_TRUE(batch->Join({.seed = 1, .draw = next++, .options = options}).ok());
    }
    for (auto& finished : batch->Step()) draws.push_back(std::move(finished.result->data));
  }
  return draws;
}

std::vector<std::vector<float>> FullSpaceDraws(const std::shared_ptr<const Denoiser>& denoiser,
                                               const SamplingOptions& options) {
  const FullSpaceSampler<float> sampler(denoiser);
  std::vector<std::vector<float>> draws;
  for (uint64_t draw = 0; draw < kDraws; ++draw) {
    draws.push_back(sampler.Sample({.seed = 2, .draw = draw, .options = options}).value());
  }
  return draws;
}

class StochasticTest : public ::testing::TestWithParam<std::tuple<Reading, Sampler>> {};

// Differences of sample moments are compared with their standard errors.
TEST_P(StochasticTest, MeanAndCovarianceAgree) {
  const auto& [reading, sampler] = GetParam();
  DenoiserSpec spec = SmallSpec(reading);
  spec.context_length = 2;
  spec.width = 4;
  spec.latent = 3;
  spec.layers = 1;
  DenoiserWeights weights = RandomWeights(spec, 2);
  for (float& value : weights.up_weight) value *= 3;
  const auto denoiser = MakeDenoiser(spec, weights);
  const SamplingOptions options = Options(sampler, 6, sampler == Sampler::kDdim ? 0.6 : 0);
  const Moments latent = MomentsOf(LatentDraws(denoiser, options));
  const Moments full = MomentsOf(FullSpaceDraws(denoiser, options));
  const size_t size = spec.size();
  const auto variance = [&](size_t i) { return full.covariance[i * size + i]; };
  for (size_t i = 0; i < size; ++i) {
    EXPECT_LT(std::abs(latent.mean[i] - full.mean[i]), 5 * std::sqrt(2 * variance(i) / kDraws));
    for (size_t j = 0; j < size; ++j) {
      const double error = std::sqrt(4 * variance(i) * variance(j) / kDraws);
      EXPECT_LT(std::abs(latent.covariance[i * size + j] - full.covariance[i * size + j]),
                5 * error)
          << i << " " << j;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, StochasticTest,
                         ::testing::Combine(::testing::Values(Reading::kX0, Reading::kX0Residual),
                                            ::testing::Values(Sampler::kAncestral,
                                                              Sampler::kDdim)));

}  // namespace
}  // namespace ddpt
