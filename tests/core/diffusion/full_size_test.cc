// The latent loop equals the full-space loop at the size of the published method: D = 10,240,
// h = 256. The full-space loop in double precision takes seconds a prompt at 2000 steps, so both
// loops run once per reading and sampler, on two threads. Each case prints the growth of a
// perturbation of 1e-12 of x_T in the full-space loop, without which agreement would mean nothing.
#include <cstdio>
#include <future>

#include "core/diffusion/full_space.h"
#include "tests/core/diffusion/reference_latent.h"
#include "tests/core/diffusion/testing.h"

namespace ddpt {
namespace {

constexpr uint64_t kDenoiserSeed = 1;
constexpr double kPerturbation = 1e-12;

struct Difference {
  double in_double, in_float, growth;
};

std::vector<double> Start(int64_t size, double perturbation) {
  const auto noise = Noise(1, size), direction = Noise(2, size);
  std::vector<double> x(noise.begin(), noise.end());
  for (int64_t i = 0; i < size; ++i) x[i] += perturbation * direction[i];
  return x;
}

double Norm(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(sum);
}

Difference Compare(std::shared_ptr<const Denoiser> denoiser, Sampler sampler, int64_t steps) {
  const int64_t size = denoiser->spec().size();
  const FullSpaceSampler<double> full(denoiser);
  SampleRow row{.options = Options(sampler, steps), .initial_noise = Noise(1, size)};
  const auto start = Start(size, 0), moved = Start(size, kPerturbation);
  auto perturbed =
      std::async(std::launch::async, [&] { return full.SampleFrom(moved, row).value(); });
  const auto expected = full.SampleFrom(start, row).value();
  const auto batch = RunAlone(LatentEngine::Create(denoiser).value(), row).value();
  const auto latent = ReferenceLatent(*denoiser).SampleFrom(start, row);
  return {RelativeDifference(latent, expected), RelativeDifference(batch.data, expected),
          Norm(perturbed.get(), expected) / Norm(moved, start)};
}

class FullSizeTest : public ::testing::TestWithParam<std::tuple<Reading, Sampler>> {};

TEST_P(FullSizeTest, LatentEqualsFullSpace) {
  const auto& [reading, sampler] = GetParam();
  DenoiserSpec spec;
  spec.reading = reading;
  const auto denoiser = RandomDenoiser(spec, kDenoiserSeed).value();
  for (const int64_t steps : {2000, 50, 10}) {
    const Difference difference = Compare(denoiser, sampler, steps);
    std::printf("random denoiser %d, %s, %s, %d steps: float64 %.1e, float32 %.1e, growth %.2g\n",
                static_cast<int>(kDenoiserSeed), std::string(Name(reading)).c_str(),
                std::string(Name(sampler)).c_str(), static_cast<int>(steps), difference.in_double,
                difference.in_float, difference.growth);
    EXPECT_LT(difference.growth, 100);
    EXPECT_LE(difference.in_double, 1e-10);
    EXPECT_LE(difference.in_float, 1e-4);
  }
}

INSTANTIATE_TEST_SUITE_P(All, FullSizeTest,
                         ::testing::Values(std::tuple(Reading::kX0, Sampler::kDdim),
                                           std::tuple(Reading::kX0, Sampler::kDpmSolverPp2M),
                                           std::tuple(Reading::kX0Residual, Sampler::kDdim),
                                           std::tuple(Reading::kX0Residual,
                                                      Sampler::kDpmSolverPp2M),
                                           std::tuple(Reading::kResidual, Sampler::kResidual)));

}  // namespace
}  // namespace ddpt
