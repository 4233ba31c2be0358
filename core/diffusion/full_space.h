#pragma once

#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/stop_token.h"
#include "core/diffusion/denoiser.h"
#include "core/diffusion/sample_row.h"
#include "core/diffusion/sampling.h"

namespace ddpt {

// The reference: the sampler's loop in all D dimensions, written as the method says, in Scalar
// arithmetic (float or double). Deterministic samplers agree with LatentBatch to rounding;
// stochastic ones draw their step noise in D dimensions (kFullSpaceNoiseStage) and agree in
// distribution. About 100 times slower than LatentBatch. Immutable, thread-safe.
template <typename Scalar>
class FullSpaceSampler {
 public:
  explicit FullSpaceSampler(std::shared_ptr<const Denoiser> denoiser);

  // The prompt [n, w] of `row`, or the direction alone. Blocks for all steps; `stop` is looked at
  // before each. INVALID_ARGUMENT as of ValidateRow, INTERNAL naming the step for a value that is
  // not finite, CANCELLED, DEADLINE_EXCEEDED.
  absl::StatusOr<std::vector<Scalar>> Sample(const SampleRow& row,
                                             const StopToken& stop = StopToken()) const;
  // The same from x_T given in Scalar precision; `row.initial_noise` is not looked at.
  absl::StatusOr<std::vector<Scalar>> SampleFrom(std::vector<Scalar> x, const SampleRow& row,
                                                 const StopToken& stop = StopToken()) const;

 private:
  using Vector = std::vector<Scalar>;
  Vector Condition(std::span<const float> condition) const;
  Vector TimeEmbedding(int64_t t) const;
  // phi for one branch; `base` = W x + b + tau(t).
  Vector Hidden(const Vector& base, const Vector& condition) const;
  Vector Direction(const Vector& x, int64_t t, const SampleRow& row) const;
  void Move(const SamplerStep& step, const SampleRow& row, const Vector& direction,
            const Vector& before, Vector* x) const;

  std::shared_ptr<const Denoiser> denoiser_;
  std::vector<float> down_by_input_;  // W^T [D, h]
  std::vector<float> up_by_input_;    // U^T [h, D]
  std::vector<float> time_features_;  // [T, F]
};

extern template class FullSpaceSampler<float>;
extern template class FullSpaceSampler<double>;

}  // namespace ddpt
