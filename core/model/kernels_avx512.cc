#include "core/base/math_inline.h"
#include "core/model/kernels.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__)
#include <immintrin.h>

namespace ddpt {
namespace {

#include "core/model/kernels_avx512_body.inc"

// Weights are widened on their way through the registers: those at even places by a shift, those at
// odd places by a mask. Inputs stay float32, in the same order: of 32, the even, then the odd.
struct Bfloat16Product {
  using Weight = uint16_t;
  using Input = float;
  using Sum = __m512;
  static constexpr size_t kStep = 32;
  struct Pair {
    __m512 even, odd;
  };

  static Sum Zero() { return _mm512_setzero_ps(); }
  static Pair LoadWeights(const uint16_t* from) {
    const __m512i pairs = _mm512_loadu_si512(from);
    const __m512i upper = _mm512_set1_epi32(static_cast<int>(0xffff0000u));
    return {_mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)),
            _mm512_castsi512_ps(_mm512_and_si512(pairs, upper))};
  }
  static Pair LoadInputs(const float* from) {
    return {_mm512_load_ps(from), _mm512_load_ps(from + 16)};
  }
  static Sum MultiplyAdd(Sum sum, const Pair& weights, const Pair& inputs) {
    sum = _mm512_fmadd_ps(weights.even, inputs.even, sum);
    return _mm512_fmadd_ps(weights.odd, inputs.odd, sum);
  }
  static Vector Floats(Sum sum) { return {sum}; }
  static size_t Place(size_t input) { return input / 32 * 32 + input % 2 * 16 + input % 32 / 2; }
  static void Prepare(const float* __restrict x, size_t n, float* __restrict to, float*) {
    for (size_t i = 0; i < n; ++i) to[Place(i)] = x[i];
  }
};

#include "core/model/kernels_body.inc"

constexpr ModelKernels kKernels = MakeKernels("avx512");

}  // namespace

const ModelKernels* Avx512ModelKernels() {
  static const bool can = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  return can ? &kKernels : nullptr;
}

}  // namespace ddpt

#else

const ddpt::ModelKernels* ddpt::Avx512ModelKernels() { return nullptr; }

#endif
