#pragma once

namespace ddpt {

// Elementary functions in float32 made of IEEE additions, multiplications and fused multiply-adds
// only, so that they give the same bytes on every processor (libm's differ). math_inline.h has them
// for loops to be vectorised. `tests/core/base/math_test.cc` measures the stated errors against
// double precision.

// e^x. Relative error <= 2e-7 for |x| <= 87; 0 below -104, +inf above 88.73. NaN for NaN.
float Exp(float x);
// Natural logarithm of a positive normal x. Absolute error <= 1e-7 * max(1, |log x|).
float Log(float x);
// cos and sin of 2 pi `turns`, turns in [0, 1). Absolute error <= 2e-7.
void CosSinTurns(float turns, float* cosine, float* sine);
// x / (1 + e^-x). Relative error <= 5e-7 for x >= -87; below that absolute error <= 1e-42.
float Silu(float x);

}  // namespace ddpt
