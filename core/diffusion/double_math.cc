#include "core/diffusion/double_math.h"

#include <cmath>
#include <numbers>

namespace ddpt::in_double {

double Exp2(double x) {
  const double n = std::floor(x + 0.5);
  const double r = (x - n) * std::numbers::ln2;
  double sum = 1.0;
  for (int k = 16; k > 0; --k) sum = 1.0 + sum * r / k;
  return std::ldexp(sum, static_cast<int>(n));
}

// log(m) = 2 atanh((m - 1) / (m + 1)), m in [sqrt(1/2), sqrt(2)).
double Log(double x) {
  int exponent;
  double m = std::frexp(x, &exponent);
  if (m < std::numbers::sqrt2 / 2) {
    m *= 2;
    --exponent;
  }
  const double z = (m - 1) / (m + 1);
  double sum = 0;
  for (int k = 25; k > 0; k -= 2) sum = sum * (z * z) + 1.0 / k;
  return exponent * std::numbers::ln2 + 2 * z * sum;
}

void CosSinTurns(double turns, double* cosine, double* sine) {
  const double quarters = std::floor(4 * turns + 0.5);
  const double r = (turns - quarters / 4) * (2 * std::numbers::pi);
  double c = 1.0;
  double s = 1.0;
  for (int k = 20; k > 0; k -= 2) {
    c = 1.0 - c * (r * r) / (k * (k - 1));
    s = 1.0 - s * (r * r) / (k * (k + 1));
  }
  s *= r;
  const int q = static_cast<int>(quarters - 4 * std::floor(quarters / 4));
  *cosine = q == 0 ? c : q == 1 ? -s : q == 2 ? -c : s;
  *sine = q == 0 ? s : q == 1 ? c : q == 2 ? -s : -c;
}

}  // namespace ddpt::in_double
