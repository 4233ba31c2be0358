#include "core/diffusion/double_math.h"

#include <cmath>

#include "gtest/gtest.h"

namespace ddpt::in_double {
namespace {

TEST(DoubleMathTest, Exp2AgreesWithTheLibrary) {
  for (double x = -40; x < 40; x += 0.0373) {
    EXPECT_NEAR(Exp2(x) / std::exp2(x), 1, 1e-15) << x;
  }
}

TEST(DoubleMathTest, LogAgreesWithTheLibrary) {
  for (double x = 1e-20; x < 1e20; x *= 1.37) {
    EXPECT_NEAR(Log(x), std::log(x), 1e-15 * std::max(1.0, std::abs(std::log(x)))) << x;
  }
}

TEST(DoubleMathTest, CosineAndSineAgreeWithTheLibrary) {
  for (double turns = -3; turns < 3; turns += 0.00917) {
    double cosine, sine;
    CosSinTurns(turns, &cosine, &sine);
    EXPECT_NEAR(cosine, std::cos(2 * M_PI * turns), 5e-15) << turns;
    EXPECT_NEAR(sine, std::sin(2 * M_PI * turns), 5e-15) << turns;
  }
}

TEST(DoubleMathTest, WholeTurnsAreExact) {
  double cosine, sine;
  CosSinTurns(12345, &cosine, &sine);
  EXPECT_EQ(cosine, 1);
  EXPECT_EQ(sine, 0);
}

}  // namespace
}  // namespace ddpt::in_double
