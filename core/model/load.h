#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "core/model/geometry.h"
#include "core/model/tensor_shapes.h"

namespace ddpt {

class LanguageModel;

struct LoadOptions {
  ModelDtype dtype = ModelDtype::kFloat32;
  std::string device = "cpu";  // or "cuda:N"
  std::string habits = {};     // name of a preset; "": that of the checkpoint
  // Told the bytes of weights read and their sum after each tensor, on the calling thread.
  std::function<void(uint64_t done, uint64_t total)> on_progress = {};
};

// The habits of a checkpoint are those of its family, or InstructCodeT5+'s where its published name
// (`_name_or_path` of config.json) or its directory has "instructcodet5p" in it.

// Loads a Hugging Face directory: config.json with model.safetensors or pytorch_model.bin, or the
// shards that model.safetensors.index.json or pytorch_model.bin.index.json lists, looked for in
// this order; weights may be stored as float32, float16 or bfloat16. Blocks until every weight is
// read and checked. NOT_FOUND where a file is missing; INVALID_ARGUMENT for a configuration that
// contradicts itself, a family that is not known, missing, surplus and mis-shaped tensors (all in
// one message), and values that are not finite.
absl::StatusOr<std::shared_ptr<const LanguageModel>> LoadLanguageModel(const std::string& directory,
                                                                       const LoadOptions& options);

// What can be said of a directory without reading its weights.
struct ModelInspection {
  ModelGeometry geometry;
  TensorShapes shapes;                 // of all weights; KeptBytes tells what they take
  uint64_t stored_bytes = 0;           // of the weights
  std::optional<uint64_t> free_bytes;  // on the device now; nothing where it is not told
};

// Checks configuration and names and shapes of the weights as LoadLanguageModel does. Blocks for
// milliseconds. The same errors, but for values.
absl::StatusOr<ModelInspection> InspectModel(const std::string& directory,
                                             const LoadOptions& options);

// LanguageModel::digest of a directory, without keeping a weight. Blocks for reading them all.
absl::StatusOr<std::string> DigestModel(const std::string& directory);

}  // namespace ddpt
