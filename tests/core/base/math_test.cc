#include "core/base/math.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "core/base/math_inline.h"
#include "gtest/gtest.h"

namespace ddpt {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr int kSteps = 1 << 20;

// The points first, ..., last, evenly spaced.
std::vector<float> Grid(float first, float last) {
  std::vector<float> grid;
  for (int i = 0; i <= kSteps; ++i) {
    grid.push_back(static_cast<float>(first + (double{last} - first) * i / kSteps));
  }
  return grid;
}

double RelativeError(float value, double exact) {
  return std::abs(value - exact) / std::abs(exact);
}

double WorstRelativeError(float (*function)(float), double (*exact)(double), float first,
                          float last) {
  double worst = 0;
  for (const float x : Grid(first, last)) {
    if (x != 0) worst = std::max(worst, RelativeError(function(x), exact(x)));
  }
  return worst;
}

double ExactSilu(double x) { return x / (1 + std::exp(-x)); }

TEST(MathTest, ExpHasItsStatedError) {
  const double worst = WorstRelativeError(Exp, std::exp, -87.0f, 87.0f);
  RecordProperty("relative_error", std::to_string(worst * 1e9) + "e-9");
  EXPECT_LE(worst, 2e-7);
}

TEST(MathTest, ExpAtTheEndsOfItsRange) {
  EXPECT_EQ(Exp(0.0f), 1.0f);
  EXPECT_EQ(Exp(-104.0f), 0.0f);
  EXPECT_EQ(Exp(-kInfinity), 0.0f);
  EXPECT_EQ(Exp(88.73f), kInfinity);
  EXPECT_EQ(Exp(kInfinity), kInfinity);
  EXPECT_LT(RelativeError(Exp(88.72f), std::exp(double{88.72f})), 2e-7);
  EXPECT_NEAR(Exp(-100.0f), std::exp(-100.0), 0x1p-149);
  EXPECT_TRUE(std::isnan(Exp(std::nanf(""))));
}

TEST(MathTest, LogHasItsStatedErrorInEveryBinade) {
  double worst = 0;
  for (int exponent = -126; exponent <= 127; ++exponent) {
    for (int i = 0; i < 4096; ++i) {
      const float x = std::ldexp(1.0f + static_cast<float>(i) / 4096, exponent);
      const double exact = std::log(double{x});
      worst = std::max(worst, std::abs(Log(x) - exact) / std::max(1.0, std::abs(exact)));
    }
  }
  RecordProperty("error", std::to_string(worst * 1e9) + "e-9");
  EXPECT_LE(worst, 1e-7);
}

TEST(MathTest, LogHasItsStatedErrorNearOne) {
  double worst = 0;
  for (const float x : Grid(0.5f, 2.0f)) {
    worst = std::max(worst, std::abs(Log(x) - std::log(double{x})));
  }
  EXPECT_LE(worst, 1e-7);
  EXPECT_EQ(Log(1.0f), 0.0f);
}

TEST(MathTest, CosSinTurnsHasItsStatedError) {
  double worst = 0;
  for (const float turns : Grid(0.0f, std::nextafter(1.0f, 0.0f))) {
    float cosine, sine;
    CosSinTurns(turns, &cosine, &sine);
    const double angle = 2 * M_PI * turns;
    worst = std::max({worst, std::abs(cosine - std::cos(angle)), std::abs(sine - std::sin(angle))});
  }
  RecordProperty("error", std::to_string(worst * 1e9) + "e-9");
  EXPECT_LE(worst, 2e-7);
}

TEST(MathTest, CosSinTurnsIsExactAtQuarters) {
  constexpr float kExpected[4][2] = {{1, 0}, {0, 1}, {-1, 0}, {0, -1}};
  for (int quarter = 0; quarter < 4; ++quarter) {
    float cosine, sine;
    CosSinTurns(static_cast<float>(quarter) / 4, &cosine, &sine);
    EXPECT_EQ(cosine, kExpected[quarter][0]) << quarter;
    EXPECT_EQ(sine, kExpected[quarter][1]) << quarter;
  }
}

TEST(MathTest, SiluHasItsStatedError) {
  const double worst = std::max(WorstRelativeError(Silu, ExactSilu, -87.0f, 100.0f),
                                WorstRelativeError(Silu, ExactSilu, -1e-3f, 1e-3f));
  RecordProperty("relative_error", std::to_string(worst * 1e9) + "e-9");
  EXPECT_LE(worst, 5e-7);
}

TEST(MathTest, SiluAtTheEndsOfItsRange) {
  EXPECT_EQ(Silu(0.0f), 0.0f);
  EXPECT_EQ(Silu(kInfinity), kInfinity);
  EXPECT_EQ(Silu(-kInfinity), 0.0f);
  EXPECT_EQ(Silu(1e30f), 1e30f);
  EXPECT_TRUE(std::isnan(Silu(std::nanf(""))));
  for (const float x : Grid(-200.0f, -87.0f)) ASSERT_NEAR(Silu(x), ExactSilu(x), 1e-42) << x;
}

// The four functions over a whole array, as the compiler vectorises them for one instruction set.
#define DDPT_DEFINE_ALL_FUNCTIONS(NAME, TARGET)                                          \
  TARGET __attribute__((noinline)) void NAME(const float* x, size_t count, float* out) { \
    for (size_t i = 0; i < count; ++i) {                                                 \
      float* const row = out + 5 * i;                                                    \
      row[0] = inlined::Exp(x[i]);                                                       \
      row[1] = inlined::Log(__builtin_fabsf(x[i]) + 1e-30f);                             \
      row[2] = inlined::Silu(x[i]);                                                      \
      inlined::CosSinTurns(__builtin_fabsf(x[i]) * 0x1p-8f, &row[3], &row[4]);           \
    }                                                                                    \
  }
DDPT_DEFINE_ALL_FUNCTIONS(AllPortable, )
#if defined(__x86_64__)
DDPT_DEFINE_ALL_FUNCTIONS(AllAvx2, __attribute__((target("avx2,fma"))))
DDPT_DEFINE_ALL_FUNCTIONS(AllAvx512, __attribute__((target("avx512f,avx2,fma"))))

TEST(MathTest, EveryInstructionSetGivesTheSameBytes) {
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) GTEST_SKIP();
  std::mt19937 generator(1);
  std::uniform_real_distribution<float> uniform(-110.0f, 110.0f);
  std::vector<float> x(100'003);
  for (float& value : x) value = uniform(generator);
  std::vector<float> portable(5 * x.size()), other(5 * x.size());
  AllPortable(x.data(), x.size(), portable.data());
  AllAvx2(x.data(), x.size(), other.data());
  EXPECT_EQ(std::memcmp(portable.data(), other.data(), portable.size() * sizeof(float)), 0);
  if (!__builtin_cpu_supports("avx512f")) return;
  AllAvx512(x.data(), x.size(), other.data());
  EXPECT_EQ(std::memcmp(portable.data(), other.data(), portable.size() * sizeof(float)), 0);
}
#endif

}  // namespace
}  // namespace ddpt
