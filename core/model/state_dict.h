#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/model/geometry.h"
#include "core/model/load.h"
#include "core/model/tensor_shapes.h"

namespace ddpt {

// Weights by the names of the checkpoint. Tensors share their memory with the model made of them.
using StateDict = std::map<std::string, at::Tensor>;

// `geometry` with dtype and device of these weights.
ModelGeometry OnDevice(ModelGeometry geometry, const StateDict& weights);

struct StoredWeights {
  StateDict tensors;
  std::string digest;  // SHA-256 over `salt`, then names, dtypes, shapes and bytes as stored
};

using IsIgnored = std::function<bool(std::string_view name)>;

// Checks names and shapes of the weights of `directory`, as ReadWeights does, and reads none. Gives
// their bytes as stored.
absl::StatusOr<uint64_t> CheckWeights(const std::string& directory, const TensorShapes& expected,
                                      const IsIgnored& ignored);

// Reads model.safetensors of `directory`, or the shards of model.safetensors.index.json, or the
// same of pytorch_model.bin, checked against `expected` before any weight is read; every value must
// be finite. Names for which `ignored` is true are not read. Blocks.
absl::StatusOr<StoredWeights> ReadWeights(const std::string& directory,
                                          const TensorShapes& expected, const IsIgnored& ignored,
                                          const LoadOptions& options, std::string_view salt);

// Writes model.safetensors. `dtype` is that of the file. Blocks; the old file or the new one
// survives a crash.
absl::Status WriteWeights(const std::string& directory, const StateDict& tensors, DataType dtype);

}  // namespace ddpt
