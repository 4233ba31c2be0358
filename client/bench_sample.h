#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/bench.h"
#include "core/base/device.h"
#include "core/base/tensor.h"
#include "core/diffusion/denoiser.h"
#include "core/diffusion/kernels.h"
#include "core/diffusion/sampling.h"

namespace ddpt {

// Time for `batch` prompts from start to end, noise included, without any server.
struct BenchSampleOptions {
  std::shared_ptr<const Denoiser> denoiser;
  SamplingOptions sampling;
  WeightType weight_type = WeightType::kFloat32;
  int device = kCpu;  // or the number of a GPU, whose limits are not measured
  uint64_t seed = 0;
  size_t batch = 1;    // prompts a run, at least 1
  size_t threads = 1;  // share the steps of one batch; with 32 rows for each, each has its own
  size_t runs = 10;    // timed ones, after one that is not
};

// Its bytes are those of weights, each read once a step and batch.
struct BenchSampleResult : BenchResult {
  std::vector<Tensor> prompts;  // of the last run, [n, w] each
  std::string kernels;          // "avx2", ..., "cuda"
};

// Blocks for all runs; `on_run` is told the number of runs done. INVALID_ARGUMENT names the option.
absl::StatusOr<BenchSampleResult> BenchSample(const BenchSampleOptions& options,
                                              const std::function<void(size_t)>& on_run);

// x_T of each prompt as `initial_noise` and the results as `prompts`, both [batch, n, w] float32,
// in a safetensors file: what another implementation needs to do the same and to compare.
absl::Status WriteSampleBenchmark(const std::string& path, const BenchSampleOptions& options,
                                  const BenchSampleResult& result);

}  // namespace ddpt
