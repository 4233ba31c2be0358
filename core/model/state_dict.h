#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/tensor.h"
#include "core/model/geometry.h"
#include "core/model/load.h"
#include "core/model/tensor_shapes.h"

namespace ddpt {

// Weights by the names of the checkpoint. Tensors share their memory with the model made of them. A
// matrix NAME.weight kept in int8 [out, in] has NAME.weight_scale [out] beside it.
using StateDict = std::map<std::string, at::Tensor>;

inline constexpr char kScaleOf[] = ".weight_scale";

// `geometry` with dtype and device of these weights.
ModelGeometry OnDevice(ModelGeometry geometry, const StateDict& weights);

// Of all weights, scales left out.
TensorShapes ShapesOf(const StateDict& weights);

struct StoredWeights {
  StateDict tensors;
  std::string digest;  // SHA-256 over `salt`, then names, dtypes, shapes and bytes as stored
};

using IsIgnored = std::function<bool(std::string_view name)>;

struct WeightsCheck {
  uint64_t stored_bytes = 0;
  ModelDtype dtype;  // that ReadWeights would give, never kAuto
};

// Checks names and shapes of the weights of `directory`, as ReadWeights does, and reads none.
absl::StatusOr<WeightsCheck> CheckWeights(const std::string& directory,
                                          const TensorShapes& expected, const IsIgnored& ignored,
                                          const LoadOptions& options);

// The digest alone, of weights checked in the same way. Blocks for reading them.
absl::StatusOr<std::string> DigestWeights(const std::string& directory,
                                          const TensorShapes& expected, const IsIgnored& ignored,
                                          std::string_view salt);

// Reads model.safetensors of `directory`, or the shards of model.safetensors.index.json, or the
// same of pytorch_model.bin, checked against `expected` before any weight is read; every value must
// be finite. Names for which `ignored` is true are not read. One tensor at a time is converted and
// goes to the device, in pieces of about a megabyte. Blocks.
absl::StatusOr<StoredWeights> ReadWeights(const std::string& directory,
                                          const TensorShapes& expected, const IsIgnored& ignored,
                                          const LoadOptions& options, std::string_view salt);

// Writes model.safetensors. `dtype` is that of the file. Blocks; the old file or the new one
// survives a crash.
absl::Status WriteWeights(const std::string& directory, const StateDict& tensors, DataType dtype);

}  // namespace ddpt
