#include "core/diffusion/packed_affine.h"

#include <algorithm>

namespace ddpt {
namespace {

constexpr size_t kPanel = 16;

}  // namespace

AlignedFloats::AlignedFloats(size_t size)
    : size_(size),
      data_(static_cast<float*>(operator new[](size * sizeof(float), std::align_val_t{64}))) {
  std::fill_n(data_.get(), size, 0.0f);
}

PackedAffine::PackedAffine(size_t outputs, size_t inputs)
    : panels_((outputs + kPanel - 1) / kPanel * kPanel * inputs),
      bias_((outputs + kPanel - 1) / kPanel * kPanel),
      view_{panels_.data(), bias_.data(), inputs, outputs} {}

PackedAffine::PackedAffine(std::span<const float> weight, std::span<const float> bias,
                           size_t outputs, size_t inputs)
    : PackedAffine(outputs, inputs) {
  std::ranges::copy(bias, bias_.data());
  for (size_t o = 0; o < outputs; ++o) {
    for (size_t k = 0; k < inputs; ++k) At(o, k) = weight[o * inputs + k];
  }
}

PackedAffine PackedAffine::Transposed(std::span<const float> weight, size_t outputs,
                                      size_t inputs) {
  PackedAffine map(outputs, inputs);
  for (size_t k = 0; k < inputs; ++k) {
    for (size_t o = 0; o < outputs; ++o) map.At(o, k) = weight[k * outputs + o];
  }
  return map;
}

float& PackedAffine::At(size_t output, size_t input) {
  return panels_[(output / kPanel * view_.inputs + input) * kPanel + output % kPanel];
}

}  // namespace ddpt
