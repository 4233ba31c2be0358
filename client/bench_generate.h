#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/bench.h"
#include "client/bench_model.h"
#include "core/model/geometry.h"

namespace ddpt {

// Time to generate greedily from start to end, without any server: encoder, prefill, then a token a
// step for all rows together, whatever the tokens are. The decoder's prefix is the model's habit.
struct BenchGenerateOptions : BenchModelOptions {
  size_t batch = 1;                // rows, 1..256
  size_t input_tokens = 64;        // of each instruction, 1..the model's positions
  size_t output_tokens = 64;       // of each answer, 1..the positions that are left
  size_t runs = 10;                // timed ones, after one that is not
  bool log_probabilities = false;  // of a made-up answer, after all runs
};

struct BenchGenerateResult : BenchResult {
  // [batch][output_tokens], of the last run.
  std::vector<std::vector<uint32_t>> tokens;
  int64_t parameters = 0;
  size_t prefix_tokens = 0;                 // of the decoder, the start token included
  ModelDtype dtype = ModelDtype::kFloat32;  // never kAuto
  double load_seconds = 0;                  // of a model from a directory
  uint64_t kept_bytes = 0;                  // of the weights
  double token_bytes = 0;                   // of weights that a token reads after the first
  double token_seconds = 0;                 // of a token of all rows after the first; the median
  uint64_t peak_bytes = 0;                  // most memory of the process, after loading
  // With log_probabilities, [batch][...]: what was put in, a made-up answer of as many tokens as
  // are generated, and the natural logarithms of their probabilities, each token given the answer
  // before it.
  std::vector<std::vector<uint32_t>> instructions, targets;
  std::vector<std::vector<float>> log_probabilities;
};

// Blocks for all runs. INVALID_ARGUMENT names the option; others are OpenBenchModel's.
absl::StatusOr<BenchGenerateResult> BenchGenerate(const BenchGenerateOptions& options,
                                                  const std::function<void(size_t)>& on_run);

}  // namespace ddpt
