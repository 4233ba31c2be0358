#include "core/evaluation/pass_at_k.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace ddpt {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;

// The share of the subsets of k samples that hold one of the first `passed`.
double ByCounting(uint32_t samples, uint32_t passed, uint32_t k) {
  uint32_t subsets = 0, good = 0;
  for (uint32_t subset = 0; subset < (1u << samples); ++subset) {
    if (static_cast<uint32_t>(__builtin_popcount(subset)) != k) continue;
    ++subsets;
    good += (subset & ((1u << passed) - 1)) != 0;
  }
  return static_cast<double>(good) / subsets;
}

TEST(PassAtKTest, IsTheShareOfSubsetsWithAPass) {
  for (uint32_t samples = 1; samples <= 9; ++samples) {
    for (uint32_t passed = 0; passed <= samples; ++passed) {
      for (uint32_t k = 1; k <= samples; ++k) {
        EXPECT_NEAR(PassAtK({samples, passed}, k), ByCounting(samples, passed, k), 1e-12);
      }
    }
  }
}

TEST(PassAtKTest, StaysExactWhereBinomialsOverflow) {
  // 1 - C(19900, 10) / C(20000, 10).
  double none = 1;
  for (int i = 0; i < 10; ++i) none *= (19900. - i) / (20000 - i);
  EXPECT_NEAR(PassAtK({20000, 100}, 10), 1 - none, 1e-12);
}

TEST(PassAtKTest, IsZeroWithoutAPassAndOneWithoutKFailures) {
  EXPECT_EQ(PassAtK({200, 0}, 100), 0);
  EXPECT_EQ(PassAtK({200, 101}, 100), 1);
}

TEST(PassAtKTest, IsToldOfEachProblem) {
  const std::vector<SampleCount> counts = {{4, 0}, {4, 2}, {2, 2}};
  EXPECT_THAT(PassesAtK(counts, 1), ElementsAre(0, DoubleNear(0.5, 1e-12), 1));
  EXPECT_THAT(PassesAtK(counts, 2), ElementsAre(0, DoubleNear(5. / 6, 1e-12), 1));
}

}  // namespace
}  // namespace ddpt
