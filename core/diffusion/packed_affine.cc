#include "core/diffusion/packed_affine.h"

#include <algorithm>
#include <utility>

#include "core/base/math_inline.h"

namespace ddpt {

PackedAffine::PackedAffine(size_t outputs, size_t inputs, WeightType type)
    : panels_(PanelsOf(outputs) * kPanelWidth * PanelDepth(type, inputs)),
      bias_(PanelsOf(outputs) * kPanelWidth),
      view_{panels_.data(), bias_.data(), inputs, outputs, type} {}

PackedAffine::PackedAffine(std::span<const float> weight, std::span<const float> bias,
                           size_t outputs, size_t inputs, WeightType type)
    : PackedAffine(outputs, inputs, type) {
  std::ranges::copy(bias, bias_.data());
  for (size_t o = 0; o < outputs; ++o) {
    const auto row = weight.subspan(o * inputs, inputs);
    if (type == WeightType::kFloat32) {
      for (size_t k = 0; k < inputs; ++k) At(o, k) = row[k];
    } else {
      for (size_t k = 0; k < inputs; k += 2) {
        const uint32_t second = k + 1 < inputs ? inlined::BfloatBits(row[k + 1]) : 0;
        At(o, k / 2) = inlined::FloatOf(inlined::BfloatBits(row[k]) | second >> 16);
      }
    }
  }
}

PackedAffine PackedAffine::Transposed(std::span<const float> weight, size_t outputs,
                                      size_t inputs) {
  PackedAffine map(outputs, inputs, WeightType::kFloat32);
  for (size_t k = 0; k < inputs; ++k) {
    for (size_t o = 0; o < outputs; ++o) map.At(o, k) = weight[k * outputs + o];
  }
  return map;
}

PackedAffine PackedAffine::Streamed() && {
  view_.streamed = true;
  return std::move(*this);
}

float& PackedAffine::At(size_t output, size_t element) {
  const size_t depth = PanelDepth(view_.type, view_.inputs);
  return panels_[(output / kPanelWidth * depth + element) * kPanelWidth + output % kPanelWidth];
}

}  // namespace ddpt
