#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/base/philox.h"
#include "core/diffusion/latent_batch.h"
#include "core/diffusion/random_denoiser.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ddpt {

inline DenoiserSpec SmallSpec(Reading reading = Reading::kX0) {
  DenoiserSpec spec;
  spec.reading = reading;
  spec.context_length = 3;
  spec.width = 21;
  spec.latent = 19;
  spec.time_features = 8;
  spec.train_steps = 200;
  return spec;
}

inline std::shared_ptr<const Denoiser> MakeDenoiser(const DenoiserSpec& spec,
                                                    const DenoiserWeights& weights) {
  const auto bytes = Denoiser::Serialize(spec, weights);
  EXPECT_TRUE(bytes.ok()) << bytes.status();
  return Denoiser::Parse(*bytes, "test").value();
}

inline std::shared_ptr<const LatentEngine> RandomEngine(const DenoiserSpec& spec, uint64_t seed = 1,
                                                        const Kernels& kernels = BestKernels(),
                                                        WeightType type = WeightType::kFloat32) {
  return LatentEngine::Create(RandomDenoiser(spec, seed).value(), type, kernels).value();
}

inline SamplingOptions Options(Sampler sampler, int64_t steps, double eta = 0) {
  return {.sampler = sampler, .steps = steps, .eta = eta};
}

// Samplers without noise that fit a reading.
inline std::vector<Sampler> DeterministicSamplers(Reading reading) {
  if (reading == Reading::kResidual) return {Sampler::kResidual};
  return {Sampler::kDdim, Sampler::kDpmSolverPp2M};
}

// Steps until the first row ends and returns its result.
inline absl::StatusOr<Tensor> RunBatch(LatentBatch& batch) {
  while (batch.width() > 0) {
    auto& finished = batch.Step();
    if (!finished.empty()) return std::move(finished[0].result);
  }
  return absl::NotFoundError("no row");
}

inline absl::StatusOr<Tensor> RunAlone(std::shared_ptr<const LatentEngine> engine,
                                       const SampleRow& row, size_t capacity = 1) {
  auto batch = LatentBatch::Create(std::move(engine), capacity).value();
  const auto id = batch->Join(row);
  if (!id.ok()) return id.status();
  return RunBatch(*batch);
}

// Largest difference over the largest element of `expected`.
template <typename A, typename B>
double RelativeDifference(const A& actual, const B& expected) {
  EXPECT_EQ(actual.size(), expected.size());
  double difference = 0, largest = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    difference = std::max(difference, std::abs(double{actual[i]} - double{expected[i]}));
    largest = std::max(largest, std::abs(double{expected[i]}));
  }
  return difference / largest;
}

inline std::vector<float> Noise(uint64_t seed, size_t count) {
  std::vector<float> noise(count);
  FillNormal({.seed = seed, .stage = 77}, noise);
  return noise;
}

}  // namespace ddpt
