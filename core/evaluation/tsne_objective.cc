#include "core/evaluation/tsne_objective.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>

namespace ddpt {
namespace {

// Each halves the interval that holds a width, once it has two ends.
constexpr int kHalvings = 64;

// a_i - a_j, [N, N], of one coordinate [N].
at::Tensor Differences(const at::Tensor& coordinate) {
  return coordinate.unsqueeze(1) - coordinate.unsqueeze(0);
}

// 1 / (1 + |y_i - y_j|^2), 0 on the diagonal.
at::Tensor Closeness(const at::Tensor& points) {
  return (SquaredDistances(points) + 1).reciprocal_().fill_diagonal_(0);
}

at::Tensor SumOf(const at::Tensor& matrix) { return matrix.sum(1).sum(); }

}  // namespace

at::Tensor SquaredDistances(const at::Tensor& points) {
  at::Tensor distances = at::zeros({points.size(0), points.size(0)}, points.options());
  for (const at::Tensor& coordinate : points.unbind(1))
    distances += Differences(coordinate).square_();
  return distances;
}

at::Tensor ConditionalProbabilities(const at::Tensor& squared_distances, double perplexity) {
  const int64_t count = squared_distances.size(0);
  // Of each row the least is taken off, which changes no probability and keeps exponents small.
  at::Tensor distances = squared_distances.clone();
  distances.fill_diagonal_(std::numeric_limits<double>::infinity());
  distances -= std::get<0>(distances.min(1, /*keepdim=*/true));
  distances.fill_diagonal_(0);
  const double wanted = std::log(perplexity);
  const auto options = squared_distances.options();
  at::Tensor low = at::zeros({count, 1}, options);
  at::Tensor high = at::full({count, 1}, std::numeric_limits<double>::infinity(), options);
  at::Tensor precision = at::ones({count, 1}, options);
  at::Tensor probabilities;
  for (int i = 0; i < kHalvings; ++i) {
    const at::Tensor weights = at::exp(distances * -precision).fill_diagonal_(0);
    const at::Tensor sums = weights.sum(1, /*keepdim=*/true);
    probabilities = weights / sums;
    const at::Tensor entropies =
        sums.log() + precision * (probabilities * distances).sum(1, /*keepdim=*/true);
    const at::Tensor too_wide = entropies > wanted;
    low = at::where(too_wide, precision, low);
    high = at::where(too_wide, high, precision);
    precision = at::where(high.isinf(), precision * 2, (low + high) / 2);
  }
  return probabilities;
}

at::Tensor JointProbabilities(const at::Tensor& squared_distances, double perplexity) {
  const at::Tensor conditional = ConditionalProbabilities(squared_distances, perplexity);
  return (conditional + conditional.t()) / (2 * static_cast<double>(conditional.size(0)));
}

double TsneDivergence(const at::Tensor& joint, const at::Tensor& points) {
  const at::Tensor closeness = Closeness(points);
  const at::Tensor found = closeness / SumOf(closeness);
  // Where p is 0 its term is 0.
  return SumOf(at::xlogy(joint, joint) - at::xlogy(joint, found.fill_diagonal_(1))).item<double>();
}

at::Tensor TsneGradient(const at::Tensor& joint, const at::Tensor& points) {
  const at::Tensor closeness = Closeness(points);
  const at::Tensor pulls = (joint - closeness / SumOf(closeness)).mul_(closeness);
  std::vector<at::Tensor> columns;
  for (const at::Tensor& coordinate : points.unbind(1)) {
    columns.push_back(Differences(coordinate).mul_(pulls).sum(1));
  }
  return at::stack(columns, 1).mul_(4);
}

}  // namespace ddpt
