#include "core/diffusion/cholesky.h"

#include <cmath>

#include "tests/core/diffusion/testing.h"

namespace ddpt {
namespace {

std::vector<double> Gram(std::span<const float> matrix, size_t rows, size_t columns) {
  std::vector<double> gram(rows * rows, 0);
  for (size_t i = 0; i < rows; ++i) {
    for (size_t j = 0; j < rows; ++j) {
      for (size_t k = 0; k < columns; ++k) {
        gram[i * rows + j] += double{matrix[i * columns + k]} * matrix[j * columns + k];
      }
    }
  }
  return gram;
}

std::vector<double> Squared(const std::vector<double>& lower, size_t size) {
  std::vector<double> out(size * size, 0);
  for (size_t i = 0; i < size; ++i) {
    for (size_t j = 0; j < size; ++j) {
      for (size_t k = 0; k < size; ++k)
        out[i * size + j] += lower[i * size + k] * lower[j * size + k];
    }
  }
  return out;
}

TEST(ProductInDoubleTest, EqualsTheDefinition) {
  const auto a = Noise(1, 3 * 130), b = Noise(2, 130 * 5);
  const auto out = ProductInDouble(a, b, 3, 130, 5);
  for (size_t i = 0; i < 3; ++i) {
    for (size_t j = 0; j < 5; ++j) {
      double sum = 0;
      for (size_t k = 0; k < 130; ++k) sum += double{a[i * 130 + k]} * b[k * 5 + j];
      EXPECT_EQ(out[i * 5 + j], sum);
    }
  }
}

TEST(CholeskyTest, FactorsAPositiveDefiniteMatrix) {
  const auto gram = Gram(Noise(3, 7 * 20), 7, 20);
  const Cholesky factor(gram, 7);
  EXPECT_LT(RelativeDifference(Squared(factor.lower(), 7), gram), 1e-14);
  for (size_t i = 0; i < 7; ++i) {
    for (size_t j = i + 1; j < 7; ++j) EXPECT_EQ(factor.lower()[i * 7 + j], 0);
  }
}

TEST(CholeskyTest, FactorsASingularMatrixWithZeroColumns) {
  const auto gram = Gram(Noise(4, 9 * 4), 9, 4);  // rank 4
  const Cholesky factor(gram, 9);
  EXPECT_LT(RelativeDifference(Squared(factor.lower(), 9), gram), 1e-12);
  size_t zero_columns = 0;
  for (size_t j = 0; j < 9; ++j) zero_columns += factor.lower()[j * 9 + j] == 0;
  EXPECT_EQ(zero_columns, 5);
}

TEST(CholeskyTest, TheZeroMatrixHasAZeroFactor) {
  const Cholesky factor(std::vector<double>(9, 0), 3);
  EXPECT_THAT(factor.lower(), ::testing::Each(0.0));
  std::vector<double> x = {1, 2, 3};
  factor.SolveLower(x);
  EXPECT_THAT(x, ::testing::Each(0.0));
}

TEST(CholeskyTest, SolvesInvertTheFactor) {
  const Cholesky factor(Gram(Noise(5, 6 * 11), 6, 11), 6);
  const std::vector<double> x = {1, -2, 3, 0.5, 0, 4};
  std::vector<double> lower(6, 0), upper(6, 0);
  for (size_t i = 0; i < 6; ++i) {
    for (size_t j = 0; j < 6; ++j) {
      lower[i] += factor.lower()[i * 6 + j] * x[j];
      upper[i] += factor.lower()[j * 6 + i] * x[j];
    }
  }
  factor.SolveLower(lower);
  factor.SolveLowerTransposed(upper);
  EXPECT_LT(RelativeDifference(lower, x), 1e-12);
  EXPECT_LT(RelativeDifference(upper, x), 1e-12);
}

}  // namespace
}  // namespace ddpt
