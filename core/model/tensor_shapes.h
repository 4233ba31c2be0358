#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "core/model/geometry.h"

namespace ddpt {

// The tensors that a configuration calls for, by the names of the checkpoint.
using TensorShapes = std::map<std::string, std::vector<int64_t>>;

// Whether a tensor is multiplied by, so that it may be kept in int8, and not only looked rows up in
// (embeddings, relative positions).
bool IsMatrix(std::string_view name, const std::vector<int64_t>& shape);

// Bytes of all tensors as a model of this dtype (not kAuto) keeps them.
uint64_t KeptBytes(const TensorShapes& shapes, ModelDtype dtype);

// Elements of all tensors.
int64_t ParameterCount(const TensorShapes& shapes);

// One INVALID_ARGUMENT error that lists what is missing, surplus or of another shape (the first 20
// of each, with counts); OK where all agree. `name` stands in front.
absl::Status CheckShapes(const TensorShapes& expected, const TensorShapes& found,
                         std::string_view name);

}  // namespace ddpt
