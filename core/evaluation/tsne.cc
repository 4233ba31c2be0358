#include "core/evaluation/tsne.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/philox.h"
#include "core/base/status.h"
#include "core/evaluation/tsne_objective.h"

namespace ddpt {
namespace {

// As the method's authors have it, and the step size of Belkina et al. 2019.
constexpr double kStart = 1e-4, kExaggeration = 12, kLeastGain = 0.01, kLeastStep = 50;
constexpr uint32_t kEarlyIterations = 250;

at::Tensor FirstPoints(int64_t count, uint64_t seed) {
  std::vector<float> normal(static_cast<size_t>(2 * count));
  FillNormal({.seed = seed}, normal);
  return at::tensor(normal).to(at::kDouble).view({count, 2}).mul_(kStart);
}

// Descends from rest; a coordinate's steps grow while its gradient keeps its sign.
at::Tensor Descend(const at::Tensor& joint, at::Tensor points, double momentum,
                   uint32_t iterations) {
  const double step = std::max(static_cast<double>(points.size(0)) / kExaggeration / 4, kLeastStep);
  at::Tensor velocity = at::zeros_like(points), gains = at::ones_like(points);
  for (uint32_t i = 0; i < iterations; ++i) {
    const at::Tensor gradient = TsneGradient(joint, points);
    gains = at::where(gradient * velocity < 0, gains + 0.2, gains * 0.8).clamp_min_(kLeastGain);
    velocity.mul_(momentum).sub_(gains * gradient, step);
    points = points + velocity;
  }
  return points;
}

// First with neighbours that pull harder than they should, so that groups find together.
at::Tensor Arrange(const at::Tensor& joint, const TsneOptions& options) {
  const uint32_t early = std::min(options.iterations, kEarlyIterations);
  at::Tensor points = FirstPoints(joint.size(0), options.seed);
  points = Descend(joint * kExaggeration, points, 0.5, early);
  return Descend(joint, points, 0.8, options.iterations - early);
}

}  // namespace

absl::StatusOr<TsneMap> MakeTsneMap(const Tensor& vectors, const TsneOptions& options) {
  const int64_t count = vectors.shape[0];
  if (count < 4 || count > kMaxTsnePoints) {
    return FieldError("vectors", absl::StrCat(count, " rows are not 4..", kMaxTsnePoints));
  }
  const double most = static_cast<double>(count - 1) / 3;
  if (!(options.perplexity >= 1 && options.perplexity <= most)) {
    return FieldError("perplexity", absl::StrCat(options.perplexity, " is outside 1..", most,
                                                 ", a third of the other points"));
  }
  const at::NoGradGuard no_grad;
  const at::Tensor rows = at::tensor(vectors.data).view(vectors.shape).to(at::kDouble);
  const at::Tensor joint = JointProbabilities(SquaredDistances(rows), options.perplexity);
  const at::Tensor points = Arrange(joint, options).contiguous();
  TsneMap map{.points = {}, .divergence = TsneDivergence(joint, points)};
  for (int64_t i = 0; i < count; ++i) {
    const double* point = points.const_data_ptr<double>() + 2 * i;
    map.points.push_back({point[0], point[1]});
  }
  return map;
}

}  // namespace ddpt
