#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/bench.h"
#include "client/bench_model.h"
#include "core/base/tensor.h"

namespace ddpt {

// Time of what a training step spends on the frozen model: the mean cross-entropy of a batch, each
// row under a prompt of its own, and its gradient with respect to the prompts. The decoder's trunk
// is computed before (it does not see the prompt), as jobs do.
struct BenchTrainOptions : BenchModelOptions {
  size_t batch = 4;            // rows, 1..256
  size_t context_length = 10;  // n, 1..64
  size_t input_tokens = 64;    // of each instruction, 1..the model's positions
  size_t output_tokens = 96;   // of each answer, 1..the positions that are left
  size_t runs = 5;             // timed ones, after one that is not
};

// Its flop are those of a step with cached trunks, its bytes the weights that such a step reads
// twice.
struct BenchTrainResult : BenchResult {
  int64_t parameters = 0;
  ModelDtype dtype = ModelDtype::kFloat32;  // never kAuto
  uint64_t trunk_bytes = 0;                 // of the batch
  uint64_t peak_bytes = 0;                  // most memory of the process, loading included
  uint64_t gpu_peak_bytes = 0;              // most memory of tensors on the GPU in a step; 0: none
  double full_flop = 0;                     // of a step that computes the decoder each time
  double loss = 0;                          // nats per token
  // Largest difference of the gradient from that of the full model, relative to its largest
  // element.
  double grad_rel_diff = 0;
  std::vector<std::vector<uint32_t>> instructions, answers;
  int64_t start_token = 0;
  Tensor prompts, gradient;  // [batch, n, w] float32
};

// Blocks for all runs. INVALID_ARGUMENT names the option; others are OpenBenchModel's. What a GPU
// can do at most is not measured.
absl::StatusOr<BenchTrainResult> BenchTrain(const BenchTrainOptions& options,
                                            const std::function<void(size_t)>& on_run);

// `instructions` [batch, input_tokens], `answers` [batch, output_tokens] (token ids as float32),
// the `prompts` and their `gradient`, in a safetensors file with `loss` and `start_token` as
// metadata: what another implementation needs to do the same and to compare. Errors name the file.
absl::Status WriteTrainBenchmark(const std::string& path, const BenchTrainResult& result);

}  // namespace ddpt
