#include "core/diffusion/random_denoiser.h"

#include <cmath>

#include "core/base/philox.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

constexpr float kFeedback = 0.3f;
constexpr float kEmbedding = 0.02f;

// Fills vectors with noise of one stream, each with a stage of its own.
class Filler {
 public:
  explicit Filler(uint64_t seed) : key_{.seed = seed} {}

  void Fill(double scale, std::vector<float>* out) {
    FillNormal(key_, *out);
    ++key_.stage;
    for (float& value : *out) value *= static_cast<float>(scale);
  }

 private:
  NoiseKey key_;
};

}  // namespace

DenoiserWeights RandomWeights(const DenoiserSpec& spec, uint64_t seed) {
  DenoiserWeights weights = ZeroWeights(spec);
  Filler filler(seed);
  const auto per_root = [](double gain, int64_t inputs) {
    return gain / std::sqrt(static_cast<double>(inputs));
  };
  const bool tuned = HasOnePrompt(spec.method);
  const bool blind = tuned || spec.method == Method::kGenerator;
  filler.Fill(blind ? 0 : per_root(1, spec.size()), &weights.down_weight);
  filler.Fill(0.1, &weights.down_bias);
  filler.Fill(per_root(1, spec.time_features), &weights.time_in_weight);
  filler.Fill(0.1, &weights.time_in_bias);
  filler.Fill(per_root(1, spec.latent), &weights.time_out_weight);
  filler.Fill(0.1, &weights.time_out_bias);
  for (auto& layer : weights.hidden) {
    filler.Fill(per_root(kFeedback, spec.latent), &layer.weight);
    filler.Fill(0.1, &layer.bias);
  }
  filler.Fill(tuned ? 0 : per_root(kFeedback, spec.latent), &weights.up_weight);
  filler.Fill(kEmbedding, &weights.up_bias);
  if (spec.condition_width > 0) {
    filler.Fill(per_root(1, spec.condition_width), &weights.condition_weight);
    filler.Fill(0.1, &weights.condition_null);
  }
  filler.Fill(kEmbedding, &weights.context);
  return weights;
}

absl::StatusOr<std::shared_ptr<const Denoiser>> RandomDenoiser(const DenoiserSpec& spec,
                                                               uint64_t seed) {
  DDPT_RETURN_IF_ERROR(ValidateSpec(spec));
  DDPT_ASSIGN_OR_RETURN(const std::string bytes,
                        Denoiser::Serialize(spec, RandomWeights(spec, seed)));
  return Denoiser::Parse(bytes, "random denoiser");
}

}  // namespace ddpt
