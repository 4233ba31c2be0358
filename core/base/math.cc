#include "core/base/math.h"

#include "core/base/math_inline.h"

namespace ddpt {

float Exp(float x) { return inlined::Exp(x); }

float Log(float x) { return inlined::Log(x); }

void CosSinTurns(float turns, float* cosine, float* sine) {
  inlined::CosSinTurns(turns, cosine, sine);
}

float Silu(float x) { return inlined::Silu(x); }

}  // namespace ddpt
