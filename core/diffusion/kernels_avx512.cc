#include "core/base/math_inline.h"
#include "core/diffusion/kernels.h"

#if defined(__AVX512F__)
#include <immintrin.h>

namespace ddpt {
namespace {

// 24 sums.
constexpr size_t MaxRows(WeightType) { return 12; }
constexpr size_t StripsWith(WeightType, size_t rows) {
  return rows == 1 ? 16 : 24 / rows - 24 / rows % 2;
}

using Integers = unsigned __attribute__((vector_size(64)));

struct Vector16 {
  __m512 lanes;

  static Vector16 Load(const float* from) { return {_mm512_loadu_ps(from)}; }
  static Vector16 Broadcast(float from) { return {_mm512_set1_ps(from)}; }
  void MultiplyAdd(const Vector16& weight, const Vector16& factor) {
    lanes = _mm512_fmadd_ps(weight.lanes, factor.lanes, lanes);
  }
  Vector16 Upper() const {
    return {reinterpret_cast<__m512>(reinterpret_cast<Integers>(lanes) & 0xffff0000u)};
  }
  Vector16 Lower() const {
    return {reinterpret_cast<__m512>(reinterpret_cast<Integers>(lanes) << 16)};
  }
  void Store(float* to) const { _mm512_storeu_ps(to, lanes); }
};

#include "core/diffusion/kernels_body.inc"

constexpr Kernels kKernels = MakeKernels("avx512");

}  // namespace

const Kernels* Avx512Kernels() {
  static const bool can = __builtin_cpu_supports("avx512f");
  return can ? &kKernels : nullptr;
}

}  // namespace ddpt

#else

const ddpt::Kernels* ddpt::Avx512Kernels() { return nullptr; }

#endif
