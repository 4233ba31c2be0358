#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/base/tensor.h"

namespace ddpt {

class LanguageModel;

struct LoadOptions {
  DataType dtype = DataType::kFloat32;  // of the computation: kFloat32 or kBFloat16
  std::string device = "cpu";           // or "cuda:N"
};

// Loads a Hugging Face directory: config.json with model.safetensors, or the shards that
// model.safetensors.index.json lists; weights may be stored as float32, float16 or bfloat16. Blocks
// until every weight is read and checked. NOT_FOUND where a file is missing; INVALID_ARGUMENT for a
// configuration that contradicts itself, a family that is not known, missing, surplus and
// mis-shaped tensors (all in one message), and values that are not finite.
absl::StatusOr<std::shared_ptr<const LanguageModel>> LoadLanguageModel(const std::string& directory,
                                                                       const LoadOptions& options);

}  // namespace ddpt
