#include "core/base/math_inline.h"
#include "core/model/kernels.h"

#if defined(__AVX512BF16__) && defined(__AVX512VNNI__)
#include <immintrin.h>

namespace ddpt {
namespace {

#include "core/model/kernels_avx512_body.inc"

struct Bfloat16Product {
  using Weight = uint16_t;
  using Input = uint16_t;
  using Sum = __m512;
  static constexpr size_t kStep = 32;

  static Sum Zero() { return _mm512_setzero_ps(); }
  static __m512i LoadWeights(const uint16_t* from) { return _mm512_loadu_si512(from); }
  static __m512i LoadInputs(const uint16_t* from) { return _mm512_load_si512(from); }
  static Sum MultiplyAdd(Sum sum, __m512i weights, __m512i inputs) {
    // As an intrinsic, GCC 12 copies the sums from register to register.
    asm("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(weights), "v"(inputs));
    return sum;
  }
  static Vector Floats(Sum sum) { return {sum}; }
  static size_t Place(size_t input) { return input; }
  static void Prepare(const float* __restrict x, size_t n, uint16_t* __restrict to, float*) {
    for (size_t i = 0; i < n; ++i) {
      to[i] = static_cast<uint16_t>(inlined::BfloatBits(x[i]) >> 16);
    }
  }
};

#include "core/model/kernels_body.inc"

constexpr ModelKernels kKernels = MakeKernels("avx512_bf16");

}  // namespace

const ModelKernels* Avx512Bf16ModelKernels() {
  static const bool can = Avx512ModelKernels() != nullptr && __builtin_cpu_supports("avx512vnni") &&
                          __builtin_cpu_supports("avx512bf16");
  return can ? &kKernels : nullptr;
}

}  // namespace ddpt

#else

const ddpt::ModelKernels* ddpt::Avx512Bf16ModelKernels() { return nullptr; }

#endif
