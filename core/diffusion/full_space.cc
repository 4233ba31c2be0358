#include "core/diffusion/full_space.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_format.h"
#include "core/base/math.h"
#include "core/base/philox.h"
#include "core/base/status.h"
#include "core/diffusion/schedule.h"

namespace ddpt {
namespace {

constexpr size_t kOutputBlock = 1024;  // outputs that stay in the cache

float SiluOf(float x) { return Silu(x); }
double SiluOf(double x) { return x / (1 + std::exp(-x)); }

std::vector<float> Transpose(std::span<const float> matrix, size_t rows, size_t columns) {
  std::vector<float> out(matrix.size());
  for (size_t i = 0; i < rows; ++i) {
    for (size_t j = 0; j < columns; ++j) out[j * rows + i] = matrix[i * columns + j];
  }
  return out;
}

// bias + W in, W given by input: [inputs, outputs].
template <typename Scalar>
std::vector<Scalar> AffineByInput(std::span<const float> weight, std::span<const float> bias,
                                  const std::vector<Scalar>& in) {
  const size_t outputs = bias.size();
  std::vector<Scalar> out(bias.begin(), bias.end());
  for (size_t begin = 0; begin < outputs; begin += kOutputBlock) {
    const size_t end = std::min(outputs, begin + kOutputBlock);
    for (size_t k = 0; k < in.size(); ++k) {
      const float* __restrict row = &weight[k * outputs];
      Scalar* __restrict to = out.data();
      const Scalar factor = in[k];
      for (size_t j = begin; j < end; ++j) to[j] += row[j] * factor;
    }
  }
  return out;
}

// bias + W in, W [outputs, inputs].
template <typename Scalar>
std::vector<Scalar> Affine(std::span<const float> weight, std::span<const float> bias,
                           const std::vector<Scalar>& in) {
  std::vector<Scalar> out(bias.begin(), bias.end());
  for (size_t j = 0; j < out.size(); ++j) {
    for (size_t k = 0; k < in.size(); ++k) out[j] += weight[j * in.size() + k] * in[k];
  }
  return out;
}

template <typename Scalar>
void ApplySilu(std::vector<Scalar>* values) {
  for (Scalar& value : *values) value = SiluOf(value);
}

template <typename Scalar>
absl::Status CheckStep(const std::vector<Scalar>& x, const SamplerTable& table, size_t i) {
  if (std::ranges::all_of(x, [](Scalar value) { return std::isfinite(value); })) {
    return absl::OkStatus();
  }
  return absl::InternalError(absl::StrFormat("sampling step %d of %d (t = %d) is not finite", i + 1,
                                             table.steps.size(), table.steps[i].t));
}

}  // namespace

template <typename Scalar>
FullSpaceSampler<Scalar>::FullSpaceSampler(std::shared_ptr<const Denoiser> denoiser)
    : denoiser_(std::move(denoiser)) {
  const DenoiserSpec& spec = denoiser_->spec();
  const DenoiserWeights& weights = denoiser_->weights();
  down_by_input_ = Transpose(weights.down_weight, spec.latent, spec.size());
  up_by_input_ = Transpose(weights.up_weight, spec.size(), spec.latent);
  time_features_ = TimeFeatures(spec.train_steps, spec.time_features);
}

template <typename Scalar>
std::vector<Scalar> FullSpaceSampler<Scalar>::Condition(std::span<const float> condition) const {
  const DenoiserWeights& weights = denoiser_->weights();
  const std::vector<float> zeros(denoiser_->spec().latent, 0.0f);
  if (!condition.empty()) {
    return Affine(weights.condition_weight, zeros, Vector(condition.begin(), condition.end()));
  }
  const auto& null = weights.condition_null.empty() ? zeros : weights.condition_null;
  return Vector(null.begin(), null.end());
}

template <typename Scalar>
std::vector<Scalar> FullSpaceSampler<Scalar>::TimeEmbedding(int64_t t) const {
  const DenoiserWeights& weights = denoiser_->weights();
  const int64_t count = denoiser_->spec().time_features;
  const Vector features(&time_features_[t * count], &time_features_[t * count] + count);
  Vector inner = Affine(weights.time_in_weight, weights.time_in_bias, features);
  ApplySilu(&inner);
  return Affine(weights.time_out_weight, weights.time_out_bias, inner);
}

template <typename Scalar>
std::vector<Scalar> FullSpaceSampler<Scalar>::Hidden(const Vector& base,
                                                     const Vector& condition) const {
  Vector a = base;
  for (size_t i = 0; i < a.size(); ++i) a[i] += condition[i];
  ApplySilu(&a);
  for (const DenoiserWeights::Layer& layer : denoiser_->weights().hidden) {
    Vector inner = Affine(layer.weight, layer.bias, a);
    ApplySilu(&inner);
    for (size_t i = 0; i < a.size(); ++i) a[i] += inner[i];
  }
  return a;
}

template <typename Scalar>
std::vector<Scalar> FullSpaceSampler<Scalar>::Direction(const Vector& x, int64_t t,
                                                        const SampleRow& row) const {
  const DenoiserWeights& weights = denoiser_->weights();
  Vector base = AffineByInput(down_by_input_, weights.down_bias, x);
  const Vector time = TimeEmbedding(t);
  for (size_t i = 0; i < base.size(); ++i) base[i] += time[i];
  Vector phi = Hidden(base, Condition(row.condition));
  const Scalar scale = static_cast<Scalar>(row.options.guidance_scale);
  if (scale != 1) {
    const Vector without = Hidden(base, Condition({}));
    for (size_t i = 0; i < phi.size(); ++i) phi[i] = (1 - scale) * without[i] + scale * phi[i];
  }
  return AffineByInput(up_by_input_, weights.up_bias, phi);
}

template <typename Scalar>
void FullSpaceSampler<Scalar>::Move(const SamplerStep& step, const SampleRow& row,
                                    const Vector& direction, const Vector& before,
                                    Vector* x) const {
  const auto p = static_cast<Scalar>(step.p), q = static_cast<Scalar>(step.q);
  const auto r = static_cast<Scalar>(step.r), sigma = static_cast<Scalar>(step.sigma);
  for (size_t i = 0; i < x->size(); ++i) {
    (*x)[i] = p * (*x)[i] + q * direction[i] + r * before[i];
  }
  if (sigma == 0) return;
  std::vector<float> noise(x->size());
  const uint32_t stage = kFullSpaceNoiseStage + static_cast<uint32_t>(step.t);
  FillNormal({.seed = row.seed, .sample = row.draw, .stage = stage}, noise);
  for (size_t i = 0; i < x->size(); ++i) (*x)[i] += sigma * noise[i];
}

template <typename Scalar>
absl::StatusOr<std::vector<Scalar>> FullSpaceSampler<Scalar>::Sample(const SampleRow& row,
                                                                     const StopToken& stop) const {
  DDPT_RETURN_IF_ERROR(ValidateRow(row, denoiser_->spec()));
  std::vector<float> noise = row.initial_noise;
  if (noise.empty()) {
    noise.resize(denoiser_->spec().size());
    FillNormal({.seed = row.seed, .sample = row.draw, .stage = kInitialNoiseStage}, noise);
  }
  return SampleFrom(Vector(noise.begin(), noise.end()), row, stop);
}

template <typename Scalar>
absl::StatusOr<std::vector<Scalar>> FullSpaceSampler<Scalar>::SampleFrom(
    std::vector<Scalar> x, const SampleRow& row, const StopToken& stop) const {
  const DenoiserSpec& spec = denoiser_->spec();
  DDPT_RETURN_IF_ERROR(ValidateRow(row, spec));
  const SamplerTable table = MakeSamplerTable(row.options, spec, AlphaBars(spec));
  Vector before(x.size(), 0);
  for (size_t i = 0; i < table.steps.size(); ++i) {
    DDPT_RETURN_IF_ERROR(stop.status());
    const SamplerStep& step = table.steps[i];
    Vector direction = Direction(x, step.t, row);
    if (spec.reading == Reading::kX0Residual) {
      for (size_t k = 0; k < x.size(); ++k) direction[k] += x[k];
    }
    Move(step, row, direction, before, &x);
    DDPT_RETURN_IF_ERROR(CheckStep(x, table, i));
    before = std::move(direction);
  }
  for (size_t k = 0; row.add_context && k < x.size(); ++k) x[k] += denoiser_->context()[k];
  return x;
}

template class FullSpaceSampler<float>;
template class FullSpaceSampler<double>;

}  // namespace ddpt
