#include "core/diffusion/latent_engine.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/math.h"
#include "core/base/status.h"
#include "core/diffusion/sample_row.h"
#include "core/diffusion/schedule.h"

namespace ddpt {
namespace {

constexpr int64_t kMaxTimeTable = int64_t{1} << 26;  // elements, 256 MiB

std::vector<float> Rounded(const std::vector<double>& values) {
  return std::vector<float>(values.begin(), values.end());
}

std::vector<float> TransposeOf(std::span<const float> matrix, size_t rows, size_t columns) {
  std::vector<float> out(matrix.size());
  for (size_t i = 0; i < rows; ++i) {
    for (size_t j = 0; j < columns; ++j) out[j * rows + i] = matrix[i * columns + j];
  }
  return out;
}

// M = W U, v = W u.
PackedAffine Feedback(const DenoiserSpec& spec, const DenoiserWeights& weights, WeightType type) {
  const size_t h = spec.latent, size = spec.size();
  const auto matrix = ProductInDouble(weights.down_weight, weights.up_weight, h, size, h);
  const auto bias = ProductInDouble(weights.down_weight, weights.up_bias, h, size, 1);
  return PackedAffine(Rounded(matrix), Rounded(bias), h, h, type);
}

Cholesky GramFactor(const DenoiserSpec& spec, const DenoiserWeights& weights) {
  const size_t h = spec.latent, size = spec.size();
  const std::vector<float> transposed = TransposeOf(weights.down_weight, h, size);
  return Cholesky(ProductInDouble(weights.down_weight, transposed, h, size, h), h);
}

}  // namespace

LatentEngine::LatentEngine(std::shared_ptr<const Denoiser> denoiser, WeightType type,
                           const Kernels& kernels)
    : denoiser_(std::move(denoiser)),
      type_(type),
      kernels_(kernels),
      tables_(std::make_unique<SamplerTables>(spec())),
      gram_(GramFactor(spec(), denoiser_->weights())) {
  const DenoiserWeights& weights = denoiser_->weights();
  const size_t h = spec().latent, size = spec().size(), c = spec().condition_width;
  const bool residual = spec().reading != Reading::kX0;
  if (spec().method != Method::kPrefixTuning) {
    down_ = PackedAffine(weights.down_weight, {}, h, size).Streamed();
  }
  feedback_ = Feedback(spec(), weights, type);
  up_ = PackedAffine(weights.up_weight, residual ? std::span<const float>() : weights.up_bias, size,
                     h, type)
            .Streamed();
  if (c > 0) condition_ = PackedAffine(weights.condition_weight, {}, h, c);
  for (const DenoiserWeights::Layer& layer : weights.hidden) {
    hidden_.emplace_back(layer.weight, layer.bias, h, h, type);
  }
  noise_ = PackedAffine(Rounded(gram_.lower()), {}, h, h, type);
  if (spec().reading == Reading::kX0Residual) {
    down_transposed_ = PackedAffine::Transposed(weights.down_weight, size, h).Streamed();
  }
  FillTimeTable();
}

absl::StatusOr<std::shared_ptr<const LatentEngine>> LatentEngine::Create(
    std::shared_ptr<const Denoiser> denoiser, WeightType type, const Kernels& kernels, int device) {
  const DenoiserSpec& spec = denoiser->spec();
  if (spec.train_steps * spec.latent > kMaxTimeTable) {
    return FieldError("train_steps",
                      absl::StrCat("train_steps * latent = ", spec.train_steps * spec.latent,
                                   ", the limit is ", kMaxTimeTable));
  }
  std::shared_ptr<LatentEngine> engine(new LatentEngine(std::move(denoiser), type, kernels));
  if (device != kCpu && CudaEngine::Supports(engine->spec())) {
    DDPT_ASSIGN_OR_RETURN(engine->cuda_, CudaEngine::Create(*engine, device));
  }
  return engine;
}

void LatentEngine::FillTimeTable() {
  const DenoiserWeights& weights = denoiser_->weights();
  const size_t h = spec().latent, features = spec().time_features, steps = spec().train_steps;
  const PackedAffine in(weights.time_in_weight, weights.time_in_bias, h, features);
  const PackedAffine out(weights.time_out_weight, weights.time_out_bias, h, h);
  const std::vector<float> table = TimeFeatures(steps, features);
  time_.resize(steps * h);
  std::vector<const float*> from(steps);
  std::vector<float*> to(steps);
  std::vector<float> inner(steps * h);
  for (size_t t = 0; t < steps; ++t) {
    from[t] = &table[t * features];
    to[t] = &inner[t * h];
  }
  const PanelRange all = {0, PanelsOf(h)};
  kernels_.affine(in.view(), all, from.data(), steps, to.data());
  for (float& value : inner) value = Silu(value);
  for (size_t t = 0; t < steps; ++t) {
    from[t] = &inner[t * h];
    to[t] = &time_[t * h];
  }
  kernels_.affine(out.view(), all, from.data(), steps, to.data());
  for (size_t i = 0; i < time_.size(); ++i) time_[i] += weights.down_bias[i % h];
}

std::string LatentEngine::arithmetic_class() const {
  if (type_ == WeightType::kFloat32) return kFloat32Class;
  return cuda_ ? cuda_->bfloat16_class() : kBfloat16Class;
}

size_t LatentEngine::bytes() const {
  size_t bytes = time_.size() * sizeof(float) + gram_.lower().size() * sizeof(double);
  for (const PackedAffine* map :
       {&down_, &feedback_, &up_, &condition_, &noise_, &down_transposed_}) {
    bytes += map->bytes();
  }
  for (const PackedAffine& map : hidden_) bytes += map.bytes();
  return bytes;
}

}  // namespace ddpt
