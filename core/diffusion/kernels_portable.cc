#include "core/base/math_inline.h"
#include "core/diffusion/kernels.h"

namespace ddpt {
namespace {

constexpr size_t MaxRows(WeightType) { return 2; }
constexpr size_t StripsWith(WeightType, size_t rows) { return rows == 1 ? 2 : 1; }

struct Vector16 {
  float lanes[16];

  static Vector16 Load(const float* from) {
    Vector16 value;
    for (size_t i = 0; i < 16; ++i) value.lanes[i] = from[i];
    return value;
  }
  static Vector16 Broadcast(float from) {
    Vector16 value;
    for (size_t i = 0; i < 16; ++i) value.lanes[i] = from;
    return value;
  }
  void MultiplyAdd(const Vector16& weight, const Vector16& factor) {
    for (size_t i = 0; i < 16; ++i) {
      lanes[i] = __builtin_fmaf(weight.lanes[i], factor.lanes[i], lanes[i]);
    }
  }
  Vector16 Upper() const {
    Vector16 value;
    for (size_t i = 0; i < 16; ++i) {
      value.lanes[i] = inlined::FloatOf(inlined::BitsOf(lanes[i]) & 0xffff0000u);
    }
    return value;
  }
  Vector16 Lower() const {
    Vector16 value;
    for (size_t i = 0; i < 16; ++i) {
      value.lanes[i] = inlined::FloatOf(inlined::BitsOf(lanes[i]) << 16);
    }
    return value;
  }
  void Store(float* to) const {
    for (size_t i = 0; i < 16; ++i) to[i] = lanes[i];
  }
};

#include "core/diffusion/kernels_body.inc"

constexpr Kernels kKernels = MakeKernels("portable");

}  // namespace

const Kernels& PortableKernels() { return kKernels; }

}  // namespace ddpt
