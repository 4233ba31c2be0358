#pragma once

#include <ATen/core/Tensor.h>

namespace ddpt {

// What t-SNE makes small, of N points in double precision. Sums run over one row at a time, so that
// results do not depend on how many threads there are.

// [N, N] of points [N, w].
at::Tensor SquaredDistances(const at::Tensor& points);

// p(j|i) in row i, of squared distances [N, N]: normal distributions about each point whose widths
// give entropies of log `perplexity`, 0 for i itself. 1 <= perplexity < N.
at::Tensor ConditionalProbabilities(const at::Tensor& squared_distances, double perplexity);

// p(i, j), symmetric; the sum is 1.
at::Tensor JointProbabilities(const at::Tensor& squared_distances, double perplexity);

// Kullback-Leibler divergence, nats, of Student's distribution over the pairs of points [N, 2] of
// the plane from `joint`.
double TsneDivergence(const at::Tensor& joint, const at::Tensor& points);

// Its gradient with respect to the points, [N, 2].
at::Tensor TsneGradient(const at::Tensor& joint, const at::Tensor& points);

}  // namespace ddpt
