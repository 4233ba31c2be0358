#pragma once

#include <cstdint>

// The algorithms of math.h as functions to be inlined into loops. They use IEEE operations,
// explicit fused multiply-adds, integer arithmetic and selects only, never a branch, so GCC
// vectorises loops over them, and a loop compiled for AVX2 + FMA, for AVX-512 or for neither gives
// the same bytes. Compile with -ffp-contract=off (and -fno-math-errno where square roots are to be
// vectorised). Internal linkage and builtins instead of the standard library keep code made for one
// instruction set out of the other objects of a program. GPUs run them too, with the same bytes
// (nvcc -fmad=false). Pure, thread-safe.
#if defined(__CUDACC__)
#define DDPT_INLINED static inline __host__ __device__
#else
#define DDPT_INLINED static inline
#endif

namespace ddpt::inlined {

DDPT_INLINED uint32_t BitsOf(float x) { return __builtin_bit_cast(uint32_t, x); }
DDPT_INLINED float FloatOf(uint32_t bits) { return __builtin_bit_cast(float, bits); }

// x rounded to bfloat16 (to nearest even), in the upper half. NaN stays NaN.
DDPT_INLINED uint32_t BfloatBits(float x) {
  const uint32_t bits = BitsOf(x);
  const uint32_t rounded = bits + 0x7fff + ((bits >> 16) & 1);
  return (x == x ? rounded : bits | 0x00400000) & 0xffff0000;
}

// float(x), correctly rounded, by signed conversions, which every instruction set has.
DDPT_INLINED float UintToFloat(uint32_t x) {
  const float high = static_cast<float>(static_cast<int32_t>(x >> 16));
  const float low = static_cast<float>(static_cast<int32_t>(x & 0xffff));
  return high * 65536.0f + low;
}

// 2^n for n in -126..127.
DDPT_INLINED float PowerOfTwo(int32_t n) { return FloatOf(static_cast<uint32_t>(n + 127) << 23); }

// e^x = 2^n e^r with n the integer nearest to x / log 2, |r| <= log(2) / 2; for x in -105..89.
DDPT_INLINED float ExpInRange(float x) {
  constexpr float kRoundToInteger = 12582912.0f;  // 1.5 * 2^23: adding it leaves an integer
  const float shifted = __builtin_fmaf(x, 0x1.715476p+0f, kRoundToInteger);
  const float n = shifted - kRoundToInteger;
  float r = __builtin_fmaf(n, -0x1.62e430p-1f, x);
  r = __builtin_fmaf(n, 0x1.05c610p-29f, r);
  float p = 0x1.6a2430p-10f;
  p = __builtin_fmaf(p, r, 0x1.1239e4p-7f);
  p = __builtin_fmaf(p, r, 0x1.5558f2p-5f);
  p = __builtin_fmaf(p, r, 0x1.555492p-3f);
  p = __builtin_fmaf(p, r, 0x1.fffffcp-2f);
  p = __builtin_fmaf(p, r, 1.0f);
  p = __builtin_fmaf(p, r, 1.0f);
  // 2^n alone would leave the range of exponents: two halves, the second product rounds.
  const int32_t exponent = static_cast<int32_t>(BitsOf(shifted) & 0x7fffff) - 0x400000;
  const int32_t half = exponent >> 1;
  return p * PowerOfTwo(half) * PowerOfTwo(exponent - half);
}

// e^x. NaN stays NaN.
DDPT_INLINED float Exp(float x) {
  x = x < -105.0f ? -105.0f : x;
  x = x > 89.0f ? 89.0f : x;
  return ExpInRange(x);
}

// log x = e log 2 + log(1 + f), x = 2^e (1 + f), 1 + f in [sqrt(1/2), sqrt(2)).
DDPT_INLINED float Log(float x) {
  constexpr uint32_t kSqrtHalf = 0x3f3504f3;
  const uint32_t bits = BitsOf(x) + (0x3f800000 - kSqrtHalf);
  const float e = static_cast<float>(static_cast<int32_t>(bits >> 23) - 127);
  const float f = FloatOf((bits & 0x7fffff) + kSqrtHalf) - 1.0f;
  const float square = f * f;
  float p = 0x1.17ad12p-4f;
  p = __builtin_fmaf(p, f, -0x1.e312ccp-4f);
  p = __builtin_fmaf(p, f, 0x1.e81a2ep-4f);
  p = __builtin_fmaf(p, f, -0x1.fb57f4p-4f);
  p = __builtin_fmaf(p, f, 0x1.231262p-3f);
  p = __builtin_fmaf(p, f, -0x1.55613cp-3f);
  p = __builtin_fmaf(p, f, 0x1.99a704p-3f);
  p = __builtin_fmaf(p, f, -0x1.fffffcp-3f);
  p = __builtin_fmaf(p, f, 0x1.555542p-2f);
  float tail = p * f * square;
  tail = __builtin_fmaf(e, -0x1.bd0106p-13f, tail);
  tail = __builtin_fmaf(-0.5f, square, tail);
  return __builtin_fmaf(e, 0x1.63p-1f, f + tail);
}

// Quarter turn q and remainder r, turns = q / 4 + r, |r| <= 1/8, both exact.
DDPT_INLINED void CosSinTurns(float turns, float* cosine, float* sine) {
  const int32_t q = static_cast<int32_t>(turns * 4.0f + 0.5f);
  const float r = __builtin_fmaf(static_cast<float>(q), -0.25f, turns);
  const float z = r * r;
  float s = -0x1.2d7a84p+6f;
  s = __builtin_fmaf(s, z, 0x1.465e30p+6f);
  s = __builtin_fmaf(s, z, -0x1.4abbbap+5f);
  s = __builtin_fmaf(s * z, r, 0x1.921fb6p+2f * r);
  float c = 0x1.d9f7bap+5f;
  c = __builtin_fmaf(c, z, -0x1.55c664p+6f);
  c = __builtin_fmaf(c, z, 0x1.03c1dep+6f);
  c = __builtin_fmaf(c, z, -0x1.3bd3ccp+4f);
  c = __builtin_fmaf(c, z, 1.0f);
  const uint32_t swap = 0u - static_cast<uint32_t>(q & 1);
  const uint32_t sine_sign = static_cast<uint32_t>(q & 2) << 30;
  const uint32_t cosine_sign = static_cast<uint32_t>((q + 1) & 2) << 30;
  const uint32_t differing = (BitsOf(s) ^ BitsOf(c)) & swap;
  *cosine = FloatOf(BitsOf(c) ^ differing ^ cosine_sign);
  *sine = FloatOf(BitsOf(s) ^ differing ^ sine_sign);
}

// x / (1 + e^-x), for negative x as x e^x / (1 + e^x), whose exponential cannot overflow. NaN stays
// NaN, by the product. Bounds in integers: chains of floating-point selects vectorise badly.
DDPT_INLINED float Silu(float x) {
  const float bounded = x < -200.0f ? -200.0f : x;
  const auto magnitude = static_cast<int32_t>(BitsOf(x) & 0x7fffffffu);
  const auto largest = static_cast<int32_t>(BitsOf(105.0f));
  const float t =
      ExpInRange(-FloatOf(static_cast<uint32_t>(magnitude < largest ? magnitude : largest)));
  const uint32_t negative = 0u - (BitsOf(x) >> 31);
  const float numerator = FloatOf((BitsOf(t) & negative) | (BitsOf(1.0f) & ~negative));
  return bounded * numerator / (1.0f + t);
}

}  // namespace ddpt::inlined
