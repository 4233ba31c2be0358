#pragma once

#include <span>

#include "core/base/aligned_floats.h"
#include "core/diffusion/kernels.h"

namespace ddpt {

// An affine map in the layout of AffineView, which it owns. Immutable, thread-safe.
class PackedAffine {
 public:
  // 0 -> 0.
  PackedAffine() = default;
  // `weight` [outputs, inputs] row-major; `bias` [outputs], or empty for zeros.
  PackedAffine(std::span<const float> weight, std::span<const float> bias, size_t outputs,
               size_t inputs, WeightType type = WeightType::kFloat32);
  // The map by the transpose of `weight` [inputs, outputs], without bias.
  static PackedAffine Transposed(std::span<const float> weight, size_t outputs, size_t inputs);
  // The same map, streamed.
  PackedAffine Streamed() &&;

  const AffineView& view() const { return view_; }
  size_t bytes() const { return sizeof(float) * (panels_.size() + bias_.size()); }

 private:
  PackedAffine(size_t outputs, size_t inputs, WeightType type);
  float& At(size_t output, size_t element);

  AlignedFloats panels_, bias_;
  AffineView view_;
};

}  // namespace ddpt
