#include "core/diffusion/cholesky.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace ddpt {
namespace {

constexpr double kPivotTolerance = 1e-12;
constexpr size_t kInnerBlock = 64;  // rows of b that stay in the cache

}  // namespace

// The product of two floats is exact in double, so each term is rounded once, with or without FMA.
std::vector<double> ProductInDouble(std::span<const float> a, std::span<const float> b, size_t rows,
                                    size_t inner, size_t columns) {
  std::vector<double> out(rows * columns, 0.0);
  for (size_t begin = 0; begin < inner; begin += kInnerBlock) {
    const size_t end = std::min(inner, begin + kInnerBlock);
    for (size_t i = 0; i < rows; ++i) {
      double* __restrict row = &out[i * columns];
      for (size_t k = begin; k < end; ++k) {
        const double factor = a[i * inner + k];
        const float* __restrict values = &b[k * columns];
        for (size_t j = 0; j < columns; ++j) row[j] += factor * values[j];
      }
    }
  }
  return out;
}

// Right-looking, column by column.
Cholesky::Cholesky(std::vector<double> matrix, size_t size)
    : size_(size), lower_(std::move(matrix)) {
  double largest = 0;
  for (size_t i = 0; i < size_; ++i) largest = std::max(largest, lower_[i * size_ + i]);
  std::vector<double> column(size_);
  for (size_t j = 0; j < size_; ++j) {
    const double pivot = lower_[j * size_ + j];
    const bool zero = !(pivot > kPivotTolerance * largest);
    const double root = zero ? 0 : std::sqrt(pivot);
    for (size_t i = j; i < size_; ++i) column[i] = zero ? 0 : lower_[i * size_ + j] / root;
    for (size_t i = j + 1; i < size_ && !zero; ++i) {
      double* __restrict row = &lower_[i * size_];
      for (size_t k = j + 1; k <= i; ++k) row[k] -= column[i] * column[k];
    }
    for (size_t i = j; i < size_; ++i) lower_[i * size_ + j] = column[i];
  }
  for (size_t i = 0; i < size_; ++i) {
    std::fill(&lower_[i * size_ + i] + 1, &lower_[i * size_] + size_, 0.0);
  }
}

void Cholesky::SolveLower(std::span<double> x) const {
  for (size_t j = 0; j < size_; ++j) {
    const double* row = &lower_[j * size_];
    for (size_t k = 0; k < j; ++k) x[j] -= row[k] * x[k];
    x[j] = row[j] == 0 ? 0 : x[j] / row[j];
  }
}

void Cholesky::SolveLowerTransposed(std::span<double> x) const {
  for (size_t j = size_; j-- > 0;) {
    const double* row = &lower_[j * size_];
    x[j] = row[j] == 0 ? 0 : x[j] / row[j];
    for (size_t k = 0; k < j; ++k) x[k] -= row[k] * x[j];
  }
}

}  // namespace ddpt
