#pragma once

namespace ddpt::in_double {

// Elementary functions in double precision from IEEE operations only (series, exact scaling), for
// tables that must round to the same float32 on every processor, which libm does not promise.
// Relative error below 1e-15 (absolute for cosine and sine). Pure, thread-safe.

// 2^x for |x| <= 1000.
double Exp2(double x);
// Natural logarithm of a positive, normal x.
double Log(double x);
// cos and sin of 2 pi `turns`, for |turns| <= 1e6; the error grows with |turns| as that of the
// argument itself does.
void CosSinTurns(double turns, double* cosine, double* sine);

}  // namespace ddpt::in_double
