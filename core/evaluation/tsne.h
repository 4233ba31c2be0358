#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/tensor.h"

namespace ddpt {

// t-SNE (van der Maaten and Hinton 2008): points of the plane of which neighbours are those that
// are near each other in many dimensions. Exact: all pairs, nothing is left out.

struct TsneOptions {
  // How many neighbours a point has in effect: 2^entropy of the distribution over them.
  double perplexity = 30;
  uint32_t iterations = 1000;
  uint64_t seed = 1;  // of where the points begin
};

struct TsneMap {
  std::vector<std::array<double, 2>> points;
  double divergence;  // Kullback-Leibler, nats: what the plane could not show
};

inline constexpr int64_t kMaxTsnePoints = 4096;

// The map of the rows of `vectors` [N, w] by their Euclidean distances, 4 <= N <= kMaxTsnePoints.
// FieldErrors "vectors", and "perplexity" where it is outside 1..(N - 1) / 3. Blocks for
// `iterations` * N^2 steps; holds a dozen matrices [N, N] of doubles. The same map whenever it is
// made again on the same kind of processor; only distances between neighbours mean something in it.
absl::StatusOr<TsneMap> MakeTsneMap(const Tensor& vectors, const TsneOptions& options = {});

}  // namespace ddpt
