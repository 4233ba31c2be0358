#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace ddpt {

// Dense products and factorisations in double precision, each sum in a fixed order, so that the
// same float32 inputs give the same bytes on every processor. Run once per denoiser. Thread-safe.

// out[i][j] = sum over k of a[i][k] b[k][j], k ascending: a [rows, inner], b [inner, columns],
// out [rows, columns], all row-major.
std::vector<double> ProductInDouble(std::span<const float> a, std::span<const float> b, size_t rows,
                                    size_t inner, size_t columns);

// The lower triangle L, L L^T = A, of a symmetric positive semi-definite matrix. A pivot below
// 1e-12 of the largest diagonal element counts as zero and leaves a zero column, so that L is
// defined, and L L^T = A to that accuracy, for singular A too.
class Cholesky {
 public:
  // `matrix` [size, size] row-major.
  Cholesky(std::vector<double> matrix, size_t size);

  // [size, size] row-major, zeros above the diagonal.
  const std::vector<double>& lower() const { return lower_; }
  // x := L^-1 x; elements of zero columns become 0.
  void SolveLower(std::span<double> x) const;
  // x := L^-T x; elements of zero columns become 0.
  void SolveLowerTransposed(std::span<double> x) const;

 private:
  size_t size_;
  std::vector<double> lower_;
};

}  // namespace ddpt
