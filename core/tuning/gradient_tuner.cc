#include "core/tuning/gradient_tuner.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/philox.h"
#include "core/diffusion/schedule.h"
#include "core/model/batch.h"

namespace ddpt {
namespace {

// Stages of the training noise, apart from those of weights and data order.
constexpr uint32_t kTrainingNoiseStage = 0x6u << 28;
constexpr uint32_t kTimestepStage = 0x7u << 28;

at::Tensor SqrtOf(const std::vector<double>& alpha_bars, double sign, double offset,
                  const std::string& device) {
  std::vector<float> roots;
  for (const double alpha_bar : alpha_bars) roots.push_back(std::sqrt(offset + sign * alpha_bar));
  const int64_t count = roots.size();
  return ToTorch({{count}, std::move(roots)}, device);
}

}  // namespace

// The random part of one batch.
struct GradientTuner::Draws {
  at::Tensor noise;      // [B, D]: epsilon, or zeros for methods that see none
  at::Tensor t;          // [B] int64
  at::Tensor condition;  // [B, C], conditional only
  at::Tensor kept;       // [B] bool
};

GradientTuner::GradientTuner(const TuningOptions& options, const PromptNetwork& network,
                             PreparedExamples& train)
    : options_(options),
      network_(network),
      train_(train),
      optimizer_(network.trained(),
                 {.weight_decay = options.weight_decay, .clip_norm = options.clip_norm}) {
  const std::vector<double> alpha_bars = AlphaBars(network.spec());
  const std::string device = network.context().device().str();
  signal_ = SqrtOf(alpha_bars, 1, 0, device);
  noise_ = SqrtOf(alpha_bars, -1, 1, device);
  calmness_ = at::ones({1});
  reference_ = network.spec().reference == Reference::kContext ? network.context().clone()
                                                               : at::zeros_like(network.context());
  if (options.weight_ema_decay == 0) return;
  for (const auto& [name, weight] : network.trained()) average_[name] = weight.detach().clone();
}

GradientTuner::Draws GradientTuner::DrawBatch(const std::vector<uint64_t>& batch) {
  const int64_t rows = batch.size(), size = network_.spec().size();
  const std::string device = network_.context().device().str();
  Draws draws;
  at::Tensor t = at::empty({rows}, at::kLong), kept = at::empty({rows}, at::kBool);
  Tensor noise{{rows, size}, std::vector<float>(rows * size)};
  for (int64_t row = 0; row < rows; ++row) {
    const uint64_t sample = steps() * options_.batch_size + row;
    const auto words =
        PhiloxBlock({.seed = options_.seed, .sample = sample, .stage = kTimestepStage}, 0);
    t.data_ptr<int64_t>()[row] = uint64_t{words[0]} * options_.train_steps >> 32;
    kept.data_ptr<bool>()[row] = words[1] * 0x1p-32 >= options_.condition_dropout;
    if (options_.method == Method::kDdpt) {
      FillNormal({.seed = options_.seed, .sample = sample, .stage = kTrainingNoiseStage},
                 std::span(noise.data).subspan(row * size, size));
    }
  }
  draws.t = t.to(device);
  draws.kept = kept.to(device);
  draws.noise = ToTorch(noise, device);
  if (options_.conditional) draws.condition = train_.Conditions(batch);
  return draws;
}

at::Tensor GradientTuner::Denoise(const at::Tensor& x, const Draws& draws) const {
  const DenoiserSpec& spec = network_.spec();
  const at::Tensor direction = network_.Forward(x, draws.t, draws.condition, draws.kept);
  if (spec.reading == Reading::kX0Residual) return x + direction;
  if (spec.reading == Reading::kX0) return direction;
  // t counts from 0 here: from x_t, t + 1 steps of g / T are left.
  const at::Tensor share = (draws.t + 1).to(at::kFloat) / double(spec.train_steps);
  return x + share.unsqueeze(1) * direction;
}

// x_t [B, D].
at::Tensor GradientTuner::Noised(const Draws& draws) const {
  if (options_.method != Method::kDdpt) return draws.noise;
  at::Tensor reference = reference_;
  if (options_.reference == Reference::kOnPolicy) {
    const at::NoGradGuard no_grad;
    Draws pure = draws;
    pure.t = at::full_like(draws.t, options_.train_steps - 1);
    reference = Denoise(draws.noise, pure);
  }
  return signal_.index_select(0, draws.t).unsqueeze(1) * reference +
         noise_.index_select(0, draws.t).unsqueeze(1) * draws.noise;
}

at::Tensor GradientTuner::Propose(const std::vector<uint64_t>& batch) {
  // A prefix is large and the same for all: one row, and nothing drawn.
  if (network_.spec().method == Method::kPrefixTuning) {
    return network_.Forward(at::empty({1, 0}), {}, {}, {}).unsqueeze(0);
  }
  const Draws draws = DrawBatch(batch);
  return Denoise(Noised(draws), draws).unsqueeze(0);
}

void GradientTuner::Calm() { calmness_ /= 2; }

double GradientTuner::LearningRate() const {
  const double peak = options_.learning_rate * calmness_.item<double>();
  const double done = steps(), warmup = options_.warmup_steps;
  if (done < warmup) return peak * (done + 1) / warmup;
  const double rest = std::max(1.0, double(options_.steps) - warmup);
  const double cosine = 0.5 * (1 + std::cos(std::numbers::pi * (done - warmup) / rest));
  return peak * (0.1 + 0.9 * cosine);
}

absl::StatusOr<Tuner::Metrics> GradientTuner::Update(const at::Tensor& proposed,
                                                     const Scores& scores) {
  const double learning_rate = LearningRate();
  proposed.backward(scores.gradient);
  const double norm = optimizer_.Step(learning_rate);
  if (!std::isfinite(norm)) {
    return absl::FailedPreconditionError(
        absl::StrCat("step ", steps() + 1, ": the gradient's norm is ", norm));
  }
  UpdateAverages(proposed.detach().squeeze(0));
  return Metrics{{"learning_rate", learning_rate}, {"gradient_norm", norm}};
}

void GradientTuner::UpdateAverages(const at::Tensor& x0) {
  const at::NoGradGuard no_grad;
  const Reference kind = network_.spec().reference;
  if (kind == Reference::kEma || kind == Reference::kOnPolicy) {
    reference_ = options_.ema_decay * reference_ + (1 - options_.ema_decay) * x0.mean(0, true);
  }
  // A short memory at first, so that the initial weights are forgotten.
  const double decay = std::min(options_.weight_ema_decay, (1.0 + steps()) / (10.0 + steps()));
  for (auto& [name, average] : average_) average.lerp_(network_.trained().at(name), 1 - decay);
}

std::map<std::string, at::Tensor> GradientTuner::State() const {
  std::map<std::string, at::Tensor> state = {{"reference", reference_}, {"calmness", calmness_}};
  for (const auto& [name, tensor] : average_) state["average." + name] = tensor;
  for (const auto& [name, tensor] : optimizer_.first()) state["first." + name] = tensor;
  for (const auto& [name, tensor] : optimizer_.second()) state["second." + name] = tensor;
  return state;
}

}  // namespace ddpt
