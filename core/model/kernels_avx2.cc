#include "core/base/math_inline.h"
#include "core/model/kernels.h"

#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>

namespace ddpt {
namespace {

constexpr size_t kLanes = 8;
constexpr size_t kMaxRows = 3;      // with 4 outputs: 12 sums
constexpr size_t kMaxWideRows = 1;  // with 8

struct Vector {
  __m256 lanes;

  static Vector Zero() { return {_mm256_setzero_ps()}; }
  static Vector Broadcast(float from) { return {_mm256_set1_ps(from)}; }
  static Vector Load(const float* from) { return {_mm256_loadu_ps(from)}; }
  static Vector LoadBfloat16(const uint16_t* from) {
    const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16))};
  }
  void MultiplyAdd(const Vector& a, const Vector& b) {
    lanes = _mm256_fmadd_ps(a.lanes, b.lanes, lanes);
  }
  Vector Add(const Vector& other) const { return {_mm256_add_ps(lanes, other.lanes)}; }
  Vector Multiply(const Vector& other) const { return {_mm256_mul_ps(lanes, other.lanes)}; }
  void Store(float* to) const { _mm256_storeu_ps(to, lanes); }

  static __m128 Sum4(const Vector& a, const Vector& b, const Vector& c, const Vector& d) {
    const __m256 ab = _mm256_hadd_ps(a.lanes, b.lanes);
    const __m256 cd = _mm256_hadd_ps(c.lanes, d.lanes);
    const __m256 all = _mm256_hadd_ps(ab, cd);
    return _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1));
  }
};

void PrepareInt16(const float* __restrict x, size_t n, int16_t* __restrict to, float* scale);

struct Float32Product {
  using Weight = float;
  using Input = float;
  using Sum = __m256;
  static constexpr size_t kStep = 8;

  static Sum Zero() { return _mm256_setzero_ps(); }
  static __m256 LoadWeights(const float* from) { return _mm256_loadu_ps(from); }
  static __m256 LoadInputs(const float* from) { return _mm256_load_ps(from); }
  static Sum MultiplyAdd(Sum sum, __m256 weights, __m256 inputs) {
    return _mm256_fmadd_ps(weights, inputs, sum);
  }
  static Vector Floats(Sum sum) { return {sum}; }
  static size_t Place(size_t input) { return input; }
  static void Prepare(const float* __restrict x, size_t n, float* __restrict to, float*) {
    for (size_t i = 0; i < n; ++i) to[i] = x[i];
  }
};

// Weights are widened on their way through the registers: those at even places by a shift, those at
// odd places by a mask. Inputs stay float32, in the same order: of 16, the even, then the odd.
struct Bfloat16Product {
  using Weight = uint16_t;
  using Input = float;
  using Sum = __m256;
  static constexpr size_t kStep = 16;
  struct Pair {
    __m256 even, odd;
  };

  static Sum Zero() { return _mm256_setzero_ps(); }
  static Pair LoadWeights(const uint16_t* from) {
    const __m256i pairs = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    const __m256i upper = _mm256_set1_epi32(static_cast<int>(0xffff0000u));
    return {_mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16)),
            _mm256_castsi256_ps(_mm256_and_si256(pairs, upper))};
  }
  static Pair LoadInputs(const float* from) {
    return {_mm256_load_ps(from), _mm256_load_ps(from + 8)};
  }
  static Sum MultiplyAdd(Sum sum, const Pair& weights, const Pair& inputs) {
    sum = _mm256_fmadd_ps(weights.even, inputs.even, sum);
    return _mm256_fmadd_ps(weights.odd, inputs.odd, sum);
  }
  static Vector Floats(Sum sum) { return {sum}; }
  static size_t Place(size_t input) { return input / 16 * 16 + input % 2 * 8 + input % 16 / 2; }
  static void Prepare(const float* __restrict x, size_t n, float* __restrict to, float*) {
    for (size_t i = 0; i < n; ++i) to[Place(i)] = x[i];
  }
};

struct Int8Product {
  using Weight = int8_t;
  using Input = int16_t;
  using Sum = __m256i;
  static constexpr size_t kStep = 16;

  static Sum Zero() { return _mm256_setzero_si256(); }
  static __m256i LoadWeights(const int8_t* from) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  }
  static __m256i LoadInputs(const int16_t* from) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(from));
  }
  // Of kChunk products a lane has 128, each below 2^22: no sum overflows.
  static Sum MultiplyAdd(Sum sum, __m256i weights, __m256i inputs) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(weights, inputs));
  }
  static Vector Floats(Sum sum) { return {_mm256_cvtepi32_ps(sum)}; }
  static size_t Place(size_t input) { return input; }
  static void Prepare(const float* x, size_t n, int16_t* to, float* scale) {
    PrepareInt16(x, n, to, scale);
  }
};

#include "core/model/kernels_body.inc"

constexpr ModelKernels kKernels = MakeKernels("avx2");

}  // namespace

const ModelKernels* Avx2ModelKernels() {
  static const bool can = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return can ? &kKernels : nullptr;
}

}  // namespace ddpt

#else

const ddpt::ModelKernels* ddpt::Avx2ModelKernels() { return nullptr; }

#endif
