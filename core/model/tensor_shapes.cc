#include "core/model/tensor_shapes.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"
#include "core/base/tensor.h"

namespace ddpt {
namespace {

constexpr size_t kMaxListed = 20;

std::string List(const char* title, const std::vector<std::string>& names) {
  if (names.empty()) return "";
  const size_t listed = std::min(names.size(), kMaxListed);
  std::string text = absl::StrCat("; ", names.size(), " ", title, ": ",
                                  absl::StrJoin(names.begin(), names.begin() + listed, ", "));
  if (listed < names.size()) absl::StrAppend(&text, ", ...");
  return text;
}

int64_t Elements(const std::vector<int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

}  // namespace

bool IsMatrix(std::string_view name, const std::vector<int64_t>& shape) {
  return shape.size() == 2 && !name.ends_with("wte.weight") && !name.ends_with("shared.weight") &&
         !name.ends_with("relative_attention_bias.weight");
}

uint64_t KeptBytes(const TensorShapes& shapes, ModelDtype dtype) {
  const uint64_t element = dtype == ModelDtype::kFloat32 ? 4 : 2;
  uint64_t bytes = 0;
  for (const auto& [name, shape] : shapes) {
    const bool packed = dtype == ModelDtype::kInt8 && IsMatrix(name, shape);
    bytes += packed ? Elements(shape) + element * shape[0] : element * Elements(shape);
  }
  return bytes;
}

int64_t ParameterCount(const TensorShapes& shapes) {
  int64_t parameters = 0;
  for (const auto& [name, shape] : shapes) {
    parameters += Elements(shape);
  }
  return parameters;
}

absl::Status CheckShapes(const TensorShapes& expected, const TensorShapes& found,
                         std::string_view name) {
  std::vector<std::string> missing, surplus, misshaped;
  for (const auto& [tensor, shape] : expected) {
    const auto match = found.find(tensor);
    if (match == found.end()) {
      missing.push_back(tensor);
    } else if (match->second != shape) {
      misshaped.push_back(absl::StrCat(tensor, " ", ShapeString(match->second), " instead of ",
                                       ShapeString(shape)));
    }
  }
  for (const auto& [tensor, shape] : found) {
    if (!expected.contains(tensor)) surplus.push_back(tensor);
  }
  if (missing.empty() && surplus.empty() && misshaped.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      Piece(name), ": the weights do not fit the configuration", List("missing", missing),
      List("surplus", surplus), List("mis-shaped", misshaped)));
}

}  // namespace ddpt
