#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/base/tensor.h"
#include "core/model/geometry.h"

namespace ddpt {

class LanguageModel;

struct LoadOptions {
  DataType dtype = DataType::kFloat32;  // of the computation: kFloat32 or kBFloat16
  std::string device = "cpu";           // or "cuda:N"
};

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
  ModelGeometry geometry;     // dtype and device of no account
  uint64_t stored_bytes = 0;  // of the weights
};

// Checks configuration and names and shapes of the weights as LoadLanguageModel does. Blocks for
// milliseconds. The same errors, but for values.
absl::StatusOr<ModelInspection> InspectModel(const std::string& directory);

}  // namespace ddpt
