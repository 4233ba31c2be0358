#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/model/language_model.h"
#include "core/model/tensor_shapes.h"

namespace ddpt {

// Which model a benchmark runs.
struct BenchModelOptions {
  std::string model;                        // Hugging Face directory; "": random weights, see below
  ModelDtype dtype = ModelDtype::kFloat32;  // random weights: kFloat32 or kBFloat16
  std::string device = "cpu";               // "cuda:N" needs a model
  size_t threads = 1;                       // of LibTorch, 1..256
};

struct BenchModel {
  std::shared_ptr<const LanguageModel> model = nullptr;
  TensorShapes shapes = {};
  double load_seconds = 0;  // 0 for random weights
};

// Blocks for loading; sets LibTorch's number of threads for the process. Random weights are those
// of the embedded model's geometry (2.9 million parameters). INVALID_ARGUMENT names the option;
// errors of loading name the file.
absl::StatusOr<BenchModel> OpenBenchModel(const BenchModelOptions& options);

// INVALID_ARGUMENT that names the option where it is outside 1..limit.
absl::Status CheckWithin(const char* name, size_t value, size_t limit);

// Ids of a row of `tokens` tokens; any do.
std::vector<uint32_t> BenchIds(const ModelGeometry& geometry, size_t row, size_t tokens);

// How many elements of the model's matrices a token passes through, by what it is.
struct TokenWeights {
  double input = 0;         // in the encoder, and on its way to the decoder
  double output = 0;        // in the decoder, but for the head
  double after_prompt = 0;  // of those, behind the encoder's states: not part of a trunk
  double head = 0;          // logits
  bool tied = false;        // the head is the embedding, which int8 leaves alone
};

TokenWeights CountTokenWeights(const TensorShapes& shapes, const ModelGeometry& geometry);

// Multiply-adds of attention between two tokens, in all layers: of the encoder with itself, of the
// decoder with itself, and of the decoder with the encoder (T5 in every decoder layer, the
// parallel-block family in one). A multiply-add is two operations.
struct AttentionWork {
  double encoder = 0, decoder = 0, cross = 0;
};

AttentionWork CountAttention(const ModelGeometry& geometry);

}  // namespace ddpt
