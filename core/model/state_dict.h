#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/model/load.h"

namespace ddpt {

// Weights by the names of the checkpoint. Tensors share their memory with the model made of them.
using StateDict = std::map<std::string, at::Tensor>;
// The tensors that a configuration calls for.
using TensorShapes = std::map<std::string, std::vector<int64_t>>;

// One INVALID_ARGUMENT error that lists what is missing, surplus or of another shape (the first 20
// of each, with counts); OK where all agree. `name` stands in front.
absl::Status CheckShapes(const TensorShapes& expected, const TensorShapes& found,
                         std::string_view name);

struct StoredWeights {
  StateDict tensors;
  std::string digest;  // SHA-256 over `salt`, then names, dtypes, shapes and bytes as stored
};

// Reads model.safetensors, or the shards of model.safetensors.index.json, of `directory`, checked
// against `expected` before any weight is read; every value must be finite. Names that end in
// ".causal_mask" or ".scale_attn" are buffers of the public code and not read. Blocks.
absl::StatusOr<StoredWeights> ReadWeights(const std::string& directory,
                                          const TensorShapes& expected, const LoadOptions& options,
                                          std::string_view salt);

// Writes model.safetensors. `dtype` is that of the file. Blocks; the old file or the new one
// survives a crash.
absl::Status WriteWeights(const std::string& directory, const StateDict& tensors, DataType dtype);

}  // namespace ddpt
