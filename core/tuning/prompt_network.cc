#include "core/tuning/prompt_network.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/philox.h"
#include "core/base/status.h"
#include "core/diffusion/schedule.h"
#include "core/model/batch.h"

namespace ddpt {
namespace {

constexpr double kNoiseGain = 0.1;
constexpr double kLeastDeviation = 1e-3;  // of conditions, for data whose instructions are all one

std::string HiddenName(int64_t layer, std::string_view part) {
  return absl::StrCat("hidden.", layer, ".", Piece(part));
}

std::map<std::string, std::vector<int64_t>> Shapes(const DenoiserSpec& spec) {
  const int64_t h = spec.latent, size = spec.size(), features = spec.time_features;
  std::map<std::string, std::vector<int64_t>> shapes = {
      {"down.weight", {h, size}}, {"down.bias", {h}},        {"time.1.weight", {h, features}},
      {"time.1.bias", {h}},       {"time.2.weight", {h, h}}, {"time.2.bias", {h}},
      {"up.weight", {size, h}},   {"up.bias", {size}},
  };
  for (int64_t layer = 1; layer <= spec.layers; ++layer) {
    shapes[HiddenName(layer, "weight")] = {h, h};
    shapes[HiddenName(layer, "bias")] = {h};
  }
  if (spec.condition_width > 0) {
    shapes["condition.weight"] = {h, spec.condition_width};
    shapes["condition.null"] = {h};
  }
  return shapes;
}

bool IsTrained(const std::string& name, Method method, bool encoder) {
  if (HasOnePrompt(method)) return name == "up.bias" && !encoder;
  const bool sees_noise = name == "down.weight" || name.starts_with("time.");
  return method == Method::kDdpt || !sees_noise;
}

}  // namespace

PromptNetwork::PromptNetwork(const DenoiserSpec& spec, const Tensor& context, uint64_t seed,
                             const std::string& device, std::optional<PromptEncoder> encoder)
    : spec_(spec),
      encoder_(std::move(encoder)),
      context_(ToTorch(context, device).reshape({1, spec.size()})) {
  const auto options = at::TensorOptions().dtype(at::kFloat).device(device);
  time_features_ = ToTorch(
      {{spec.train_steps, spec.time_features}, TimeFeatures(spec.train_steps, spec.time_features)},
      device);
  for (const auto& [name, shape] : Shapes(spec)) {
    auto& home = IsTrained(name, spec.method, encoder_.has_value()) ? trained_ : fixed_;
    home[name] = at::zeros(shape, options);
  }
  // Layers keep the variance of their inputs. Only the noise starts weak, so that what holds for
  // every x is learnt first.
  Initialise("down.weight", 0, kNoiseGain / std::sqrt(double(spec.size())), seed);
  Initialise("time.1.weight", 1, std::sqrt(2.0 / spec.time_features), seed);
  Initialise("time.2.weight", 2, 1 / std::sqrt(double(spec.latent)), seed);
  for (int64_t layer = 1; layer <= spec.layers; ++layer) {
    Initialise(HiddenName(layer, "weight"), 2 + layer, 1 / std::sqrt(double(spec.latent)), seed);
  }
  if (spec.condition_width > 0) {
    Initialise("condition.weight", 16, 1 / std::sqrt(double(spec.condition_width)), seed);
  }
  // Without x and t something must still tell the units of a_0 apart.
  if (spec.method == Method::kGenerator) Initialise("down.bias", 17, 1, seed);
  if (encoder_) trained_ = encoder_->InitialWeights(seed, device);
  for (auto& [name, tensor] : trained_) tensor.set_requires_grad(true);
}

void PromptNetwork::CentreConditions(const at::Tensor& conditions) {
  const at::NoGradGuard no_grad;
  const at::Tensor mean = conditions.mean(0);
  const at::Tensor& weight = trained_.at("condition.weight");
  weight.div_((conditions - mean).square().mean().sqrt().clamp_min(kLeastDeviation));
  const at::Tensor shift = at::mv(weight, mean);
  trained_.at("down.bias").sub_(shift);
  trained_.at("condition.null").copy_(shift);
}

void PromptNetwork::Initialise(const std::string& name, uint32_t stage, double scale,
                               uint64_t seed) {
  const auto found = trained_.find(name);
  if (found == trained_.end()) return;
  Tensor values{found->second.sizes().vec(), std::vector<float>(found->second.numel())};
  FillNormal({.seed = seed, .sample = 0, .stage = stage}, values.data);
  found->second.copy_(ToTorch(values, "cpu") * scale);
}

const at::Tensor& PromptNetwork::Weight(const std::string& name) const {
  const auto found = trained_.find(name);
  return found != trained_.end() ? found->second : fixed_.at(name);
}

// u [D].
at::Tensor PromptNetwork::UpBias(const Tensors& trained) const {
  return encoder_ ? encoder_->Forward(trained).flatten() : trained.at("up.bias");
}

at::Tensor PromptNetwork::Forward(const at::Tensor& x, const at::Tensor& t,
                                  const at::Tensor& condition, const at::Tensor& kept) const {
  const int64_t rows = x.size(0);
  if (HasOnePrompt(spec_.method)) return UpBias(trained_).expand({rows, -1});

  at::Tensor z = Weight("down.bias").expand({rows, -1});
  if (spec_.method == Method::kDdpt) {
    const at::Tensor features = time_features_.index_select(0, t);
    const at::Tensor time =
        at::silu(at::linear(features, Weight("time.1.weight"), Weight("time.1.bias")));
    z = z + at::linear(x, Weight("down.weight")) +
        at::linear(time, Weight("time.2.weight"), Weight("time.2.bias"));
  }
  if (spec_.condition_width > 0) {
    z = z + at::where(kept.unsqueeze(1), at::linear(condition, Weight("condition.weight")),
                      Weight("condition.null"));
  }
  at::Tensor a = at::silu(z);
  for (int64_t layer = 1; layer <= spec_.layers; ++layer) {
    a = a + at::silu(at::linear(a, Weight(HiddenName(layer, "weight")),
                                Weight(HiddenName(layer, "bias"))));
  }
  return at::linear(a, Weight("up.weight"), Weight("up.bias"));
}

DenoiserWeights PromptNetwork::Export(const std::map<std::string, at::Tensor>& trained,
                                      const at::Tensor& reference) const {
  const auto values = [&](const std::string& name) {
    const auto found = trained.find(name);
    return FromTorch(found != trained.end() ? found->second : fixed_.at(name)).data;
  };
  DenoiserWeights weights;
  weights.down_weight = values("down.weight");
  weights.down_bias = values("down.bias");
  weights.time_in_weight = values("time.1.weight");
  weights.time_in_bias = values("time.1.bias");
  weights.time_out_weight = values("time.2.weight");
  weights.time_out_bias = values("time.2.bias");
  for (int64_t layer = 1; layer <= spec_.layers; ++layer) {
    weights.hidden.push_back(
        {values(HiddenName(layer, "weight")), values(HiddenName(layer, "bias"))});
  }
  weights.up_weight = values("up.weight");
  weights.up_bias = FromTorch(UpBias(trained)).data;
  if (spec_.condition_width > 0) {
    weights.condition_weight = values("condition.weight");
    weights.condition_null = values("condition.null");
  }
  weights.context = FromTorch(context_).data;
  weights.reference = FromTorch(reference).data;
  return weights;
}

}  // namespace ddpt
