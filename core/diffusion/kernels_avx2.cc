#include "core/base/math_inline.h"
#include "core/diffusion/kernels.h"

#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>

namespace ddpt {
namespace {

// Twelve sums; expanding bfloat16 weights takes registers too.
constexpr size_t MaxRows(WeightType type) { return type == WeightType::kBfloat16 ? 5 : 6; }
constexpr size_t StripsWith(WeightType type, size_t rows) {
  if (rows == 1) return 6;
  return type == WeightType::kBfloat16 || rows > 3 ? 1 : 2;
}

using Integers = unsigned __attribute__((vector_size(32)));

struct Vector16 {
  __m256 low, high;

  static Vector16 Load(const float* from) {
    return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)};
  }
  static Vector16 Broadcast(float from) {
    const __m256 value = _mm256_set1_ps(from);
    return {value, value};
  }
  void MultiplyAdd(const Vector16& weight, const Vector16& factor) {
    low = _mm256_fmadd_ps(weight.low, factor.low, low);
    high = _mm256_fmadd_ps(weight.high, factor.high, high);
  }
  Vector16 Upper() const { return {Upper(low), Upper(high)}; }
  Vector16 Lower() const { return {Lower(low), Lower(high)}; }
  static __m256 Upper(__m256 pairs) {
    return reinterpret_cast<__m256>(reinterpret_cast<Integers>(pairs) & 0xffff0000u);
  }
  static __m256 Lower(__m256 pairs) {
    return reinterpret_cast<__m256>(reinterpret_cast<Integers>(pairs) << 16);
  }
  void Store(float* to) const {
    _mm256_storeu_ps(to, low);
    _mm256_storeu_ps(to + 8, high);
  }
};

#include "core/diffusion/kernels_body.inc"

constexpr Kernels kKernels = MakeKernels("avx2");

}  // namespace

const Kernels* Avx2Kernels() {
  static const bool can = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return can ? &kKernels : nullptr;
}

}  // namespace ddpt

#else

const ddpt::Kernels* ddpt::Avx2Kernels() { return nullptr; }

#endif
