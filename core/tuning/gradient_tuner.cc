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

int64_t TimeStep(double uniform, int64_t train_steps, double power) {
  const double t = static_cast<double>(train_steps) * std::pow(uniform, power);
  return std::min(static_cast<int64_t>(t), train_steps - 1);
}

// The random part of one batch: M draws of it, one batch after the other.
struct GradientTuner::Draws {
  at::Tensor noise;      // [M B, D]: epsilon, or zeros for methods that see none
  at::Tensor t;          // [M B] int64
  at::Tensor condition;  // [M B, C], conditional only
  at::Tensor kept;       // [M B] bool
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
  const int64_t rows = options_.draws * batch.size(), size = network_.spec().size();
  const std::string device = network_.context().device().str();
  const uint64_t first = steps() * options_.batch_size;  // example of the run
  Draws draws;
  at::Tensor t = at::empty({rows}, at::kLong), kept = at::empty({rows}, at::kBool);
  Tensor noise{{rows, size}, std::vector<float>(rows * size)};
  for (int64_t row = 0; row < rows; ++row) {
    // Draws of an example differ in noise alone: else t would decide between them, and it is the
    // same at the end of each prompt's way.
    const uint64_t example = first + row % batch.size();
    const auto words =
        PhiloxBlock({.seed = options_.seed, .sample = example, .stage = kTimestepStage}, 0);
    t.data_ptr<int64_t>()[row] =
        TimeStep(words[0] * 0x1p-32, options_.train_steps, options_.time_step_power);
    kept.data_ptr<bool>()[row] = words[1] * 0x1p-32 >= options_.condition_dropout;
    if (options_.method == Method::kDdpt) {
      const uint64_t sample = first * options_.draws + row;
      FillNormal({.seed = options_.seed, .sample = sample, .stage = kTrainingNoiseStage},
                 std::span(noise.data).subspan(row * size, size));
    }
  }
  draws.t = t.to(device);
  draws.kept = kept.to(device);
  draws.noise = ToTorch(noise, device);
  if (options_.conditional) draws.condition = train_.Conditions(batch).repeat({options_.draws, 1});
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

at::Tensor GradientTuner::At(const at::Tensor& t, const at::Tensor& x0,
                             const at::Tensor& noise) const {
  return signal_.index_select(0, t).unsqueeze(1) * x0 +
         noise_.index_select(0, t).unsqueeze(1) * noise;
}

// x_t [M B, D].
at::Tensor GradientTuner::Noised(const Draws& draws) const {
  if (options_.method != Method::kDdpt) return draws.noise;
  if (options_.reference != Reference::kOnPolicy) return At(draws.t, reference_, draws.noise);
  return OnPolicy(draws);
}

// By DDIM in a few steps from pure noise to each row's own t.
at::Tensor GradientTuner::OnPolicy(const Draws& draws) const {
  const at::NoGradGuard no_grad;
  const int64_t last = options_.train_steps - 1;
  Draws now = draws;
  now.t = at::full_like(draws.t, last);
  at::Tensor x = draws.noise, noise = draws.noise;
  for (int64_t step = 1; step <= kPolicySteps; ++step) {
    const at::Tensor x0 = Denoise(x, now);
    const at::Tensor signal = signal_.index_select(0, now.t).unsqueeze(1) * x0;
    noise = (x - signal) / noise_.index_select(0, now.t).unsqueeze(1);
    now.t = last - ((last - draws.t) * step).floor_divide(kPolicySteps);
    x = At(now.t, x0, noise);
  }
  return x;
}

at::Tensor GradientTuner::Propose(const std::vector<uint64_t>& batch) {
  // A prefix is large and the same for all: one row, and nothing drawn.
  if (network_.spec().method == Method::kPrefixTuning) {
    return network_.Forward(at::empty({1, 0}), {}, {}, {}).unsqueeze(0);
  }
  const Draws draws = DrawBatch(batch);
  const at::Tensor x0 = Denoise(Noised(draws), draws);
  return x0.reshape({options_.draws, -1, x0.size(1)});
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
  Metrics metrics = {{"learning_rate", learning_rate}};
  at::Tensor gradient = scores.gradient;
  if (options_.draws > 1) {
    const auto [best, which] = scores.nlls.min(0);
    gradient = gradient * at::one_hot(which, options_.draws).t().unsqueeze(2);
    metrics["best_draw_nll"] = best.mean().item<double>();
  }
  proposed.backward(gradient);
  const double norm = optimizer_.Step(learning_rate);
  if (!std::isfinite(norm)) {
    return absl::FailedPreconditionError(
        absl::StrCat("step ", steps() + 1, ": the gradient's norm is ", norm));
  }
  UpdateAverages(proposed.detach().flatten(0, 1));
  metrics["gradient_norm"] = norm;
  return metrics;
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
