#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "client/bench_model.h"

namespace ddpt {

// What continuous and static batching are given to do: requests of many clients, with instructions
// and answers of different lengths. A client sends its next request when it has its answer, and
// waits for its turn in the order of arrival.
struct BatchingWork {
  size_t clients = 64;         // 1..4096
  size_t batch = 16;           // rows, 1..256
  size_t requests = 256;       // of a run, of all clients together, 1..1,000,000
  size_t input_tokens = 64;    // of the longest instruction, at least 1
  size_t output_tokens = 128;  // of the longest answer, at least 1
  size_t runs = 3;             // timed ones of each kind, by turns, 1..1,000,000
};

// Of all timed runs of a kind together.
struct BatchingFigures {
  double seconds = 0;
  uint64_t tokens = 0;               // generated
  uint64_t steps = 0;                // of the batch; 0: not known
  std::vector<double> first_tokens;  // seconds from the request on, ascending
  std::vector<double> answers;       // to the last token, ascending
};

struct BatchingResult {
  BatchingFigures continuous, fixed;

  void Sort();
};

// INVALID_ARGUMENT that names the option; the most tokens are the caller's business.
absl::Status CheckBatchingWork(const BatchingWork& work);

// What continuous batching is worth, without any server: the requests through one batch whose free
// rows are filled between tokens (as a server does it), and through batches that are filled when
// all rows have ended (static batching).
struct BenchBatchingOptions : BenchModelOptions, BatchingWork {};

struct BenchBatchingResult : BatchingResult {
  ModelDtype dtype = ModelDtype::kFloat32;  // never kAuto
};

// Blocks for all runs. INVALID_ARGUMENT names the option, of instructions and answers that the
// model has no positions for too; others are OpenBenchModel's and the tokenizer's. A model without
// files of a tokenizer generates bytes.
absl::StatusOr<BenchBatchingResult> BenchBatching(const BenchBatchingOptions& options,
                                                  const std::function<void(size_t)>& on_run);

}  // namespace ddpt
