#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/tensor.h"
#include "core/diffusion/denoiser.h"
#include "core/diffusion/sampling.h"

namespace ddpt {

// Time for `batch` prompts from start to end, noise included, without any server.
struct BenchSampleOptions {
  std::shared_ptr<const Denoiser> denoiser;
  SamplingOptions sampling;
  uint64_t seed = 0;
  size_t batch = 1;    // prompts a run, at least 1
  size_t threads = 1;  // at most `batch`; each takes an equal part of the batch
  size_t runs = 10;    // timed ones, after one that is not
};

struct BenchSampleResult {
  std::vector<double> seconds;  // of each run, ascending
  std::vector<Tensor> prompts;  // of the last run, [n, w] each
  std::string kernels;          // "avx2", ...
  double flop = 0;              // arithmetic of a run, a multiply-add being two
  double bytes = 0;             // of weights that a run must read, each once a step and thread
  double peak_flops = 0;        // FLOP/s that these threads can do at most, measured
  double peak_bandwidth = 0;    // bytes/s that they can read of the steps' weights, measured

  double median() const { return seconds[seconds.size() / 2]; }
  // Which of the two measured limits allows the smaller speed: "flops" or "bandwidth".
  std::string bound() const;
  // The time that a run would take at that limit, over its median time: 0..1.
  double share_of_peak() const;
};

// Blocks for all runs; `on_run` is told the number of runs done. INVALID_ARGUMENT names the option.
absl::StatusOr<BenchSampleResult> BenchSample(const BenchSampleOptions& options,
                                              const std::function<void(size_t)>& on_run);

// x_T of each prompt as `initial_noise` and the results as `prompts`, both [batch, n, w] float32,
// in a safetensors file: what another implementation needs to do the same and to compare.
absl::Status WriteSampleBenchmark(const std::string& path, const BenchSampleOptions& options,
                                  const BenchSampleResult& result);

}  // namespace ddpt
