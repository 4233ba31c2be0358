#include "core/tuning/trainer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/philox.h"
#include "core/base/status.h"
#include "core/diffusion/schedule.h"
#include "core/model/batch.h"
#include "core/model/language_model.h"
#include "core/tuning/sampled_prompts.h"

namespace ddpt {
namespace {

// Stages of the training noise, apart from those of weights and data order.
constexpr uint32_t kTrainingNoiseStage = 0x6u << 28;
constexpr uint32_t kTimestepStage = 0x7u << 28;
constexpr uint64_t kValidationSeed = 0x5eed;
constexpr size_t kValidationBatch = 32;
constexpr size_t kCentringExamples = 256;

double RootMeanSquare(const at::Tensor& values) {
  return std::sqrt(values.to(at::kDouble).square().mean().item<double>());
}

at::Tensor SqrtOf(const std::vector<double>& alpha_bars, double sign, double offset,
                  const std::string& device) {
  std::vector<float> roots;
  for (const double alpha_bar : alpha_bars) roots.push_back(std::sqrt(offset + sign * alpha_bar));
  const int64_t count = roots.size();
  return ToTorch({{count}, std::move(roots)}, device);
}

std::string HexDouble(double value) { return absl::StrFormat("%a", value); }

}  // namespace

// The random part of one batch.
struct Trainer::Draws {
  at::Tensor x;          // [B, D]: x_t, or zeros for methods that see no noise
  at::Tensor t;          // [B] int64
  at::Tensor condition;  // [B, C], conditional only
  at::Tensor kept;       // [B] bool
};

absl::StatusOr<std::unique_ptr<Trainer>> Trainer::Create(std::shared_ptr<const LanguageModel> model,
                                                         const TuningOptions& options, Data data,
                                                         const TrunkStorage& trunks) {
  DDPT_RETURN_IF_ERROR(ValidateTuning(options));
  if (data.train.empty()) return FieldError("data", "holds no training examples");
  if (data.validation.empty()) return FieldError("data", "holds no validation examples");
  if (data.context_ids.empty()) return FieldError("options.context_text", "holds no tokens");
  std::vector<uint32_t> ids(options.context_length);
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = data.context_ids[i % data.context_ids.size()];
  const at::NoGradGuard no_grad;
  const at::Tensor embedded =
      model->EmbedEncoderTokens(PadIds({&ids, 1}, model->geometry().device).ids);
  return std::unique_ptr<Trainer>(new Trainer(std::move(model), options, std::move(data), trunks,
                                              FromTorch(embedded.squeeze(0).to(at::kFloat))));
}

Trainer::Trainer(std::shared_ptr<const LanguageModel> model, const TuningOptions& options,
                 Data data, const TrunkStorage& trunks, const Tensor& context)
    : model_(std::move(model)),
      options_(options),
      network_(TunedSpec(options, model_->geometry().encoder.width, model_->digest()), context,
               options.seed, model_->geometry().device),
      optimizer_(network_.trained(),
                 {.weight_decay = options.weight_decay, .clip_norm = options.clip_norm}),
      train_(model_, std::move(data.train), options.conditional,
             {trunks.memory_bytes / 4 * 3, trunks.file}),
      validation_(model_, std::move(data.validation), options.conditional,
                  {trunks.memory_bytes / 4, trunks.file}),
      order_(options.seed, train_.size()) {
  if (options.conditional) {
    network_.CentreConditions(
        train_.Conditions(order_.Batch(0, std::min(train_.size(), kCentringExamples))));
  }
  const std::vector<double> alpha_bars = AlphaBars(network_.spec());
  signal_ = SqrtOf(alpha_bars, 1, 0, model_->geometry().device);
  noise_ = SqrtOf(alpha_bars, -1, 1, model_->geometry().device);
  reference_ = options.reference == Reference::kContext ? network_.context().clone()
                                                        : at::zeros_like(network_.context());
}

Trainer::Draws Trainer::DrawBatch(const std::vector<uint64_t>& batch) {
  const int64_t rows = batch.size(), size = network_.spec().size();
  const std::string& device = model_->geometry().device;
  Draws draws;
  at::Tensor t = at::empty({rows}, at::kLong), kept = at::empty({rows}, at::kBool);
  Tensor noise{{rows, size}, std::vector<float>(rows * size)};
  for (int64_t row = 0; row < rows; ++row) {
    const uint64_t sample = uint64_t(step()) * options_.batch_size + row;
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
  draws.x = ToTorch(noise, device);
  if (options_.method == Method::kDdpt) {
    draws.x = signal_.index_select(0, draws.t).unsqueeze(1) * reference_ +
              noise_.index_select(0, draws.t).unsqueeze(1) * draws.x;
  }
  if (options_.conditional) draws.condition = train_.Conditions(batch);
  return draws;
}

at::Tensor Trainer::NextPrompts(const Draws& draws, at::Tensor* x0) const {
  const DenoiserSpec& spec = network_.spec();
  at::Tensor direction = network_.Forward(draws.x, draws.t, draws.condition, draws.kept);
  if (spec.reading == Reading::kX0Residual) direction = draws.x + direction;
  if (spec.reading == Reading::kResidual) {
    // t counts from 0 here: from x_t, t + 1 steps of g / T are left.
    const at::Tensor share = (draws.t + 1).to(at::kFloat) / double(spec.train_steps);
    direction = draws.x + share.unsqueeze(1) * direction;
  }
  *x0 = direction.detach();
  return (network_.context() + direction).reshape({-1, spec.context_length, spec.width});
}

double Trainer::LearningRate() const {
  const double done = step(), warmup = options_.warmup_steps;
  if (done < warmup) return options_.learning_rate * (done + 1) / warmup;
  const double rest = std::max(1.0, double(options_.steps) - warmup);
  const double cosine = 0.5 * (1 + std::cos(std::numbers::pi * (done - warmup) / rest));
  return options_.learning_rate * (0.1 + 0.9 * cosine);
}

absl::StatusOr<StepReport> Trainer::Step() {
  const std::vector<uint64_t> batch = order_.Batch(step(), options_.batch_size);
  at::Tensor x0;
  const at::Tensor prompts = NextPrompts(DrawBatch(batch), &x0);
  StepReport report{.learning_rate = LearningRate(), .prompt_rms = RootMeanSquare(x0)};
  if (!(report.prompt_rms <= options_.max_prompt_rms)) {
    return absl::FailedPreconditionError(
        absl::StrCat("step ", step() + 1, ": the RMS of x0_hat is ", report.prompt_rms,
                     ", above max_prompt_rms ", options_.max_prompt_rms,
                     "; a lower learning rate or the reference ZERO may help"));
  }
  const auto losses = train_.Score(batch, prompts);
  const at::Tensor loss = MeanNll(losses.log_probs, losses.mask);
  report.loss = loss.item<double>();
  if (!std::isfinite(report.loss)) {
    return absl::FailedPreconditionError(
        absl::StrCat("step ", step() + 1, ": the loss is ", report.loss));
  }
  report.prompt_variance = x0.var(0, /*unbiased=*/false).mean().item<double>() /
                           (report.prompt_rms * report.prompt_rms + 1e-30);
  loss.backward();
  report.gradient_norm = optimizer_.Step(report.learning_rate);
  if (!std::isfinite(report.gradient_norm)) {
    return absl::FailedPreconditionError(
        absl::StrCat("step ", step() + 1, ": the gradient's norm is ", report.gradient_norm));
  }
  if (options_.reference == Reference::kEma) {
    reference_ = options_.ema_decay * reference_ + (1 - options_.ema_decay) * x0.mean(0, true);
  }
  return report;
}

absl::StatusOr<ValidationReport> Trainer::Validate(const StopToken& stop) {
  DDPT_ASSIGN_OR_RETURN(
      const std::string file,
      Denoiser::Serialize(network_.spec(), network_.Export(network_.trained(), reference_)));
  DDPT_ASSIGN_OR_RETURN(const std::shared_ptr<const Denoiser> denoiser,
                        Denoiser::Parse(file, "trained denoiser"));
  DDPT_ASSIGN_OR_RETURN(ValidationReport report, Measure(denoiser, options_.validation, stop));
  report.best = report.nll < best_nll_;
  if (report.best) RememberBest(report.nll);
  return report;
}

absl::StatusOr<ValidationReport> Trainer::Measure(const std::shared_ptr<const Denoiser>& denoiser,
                                                  const SamplingOptions& options,
                                                  const StopToken& stop) {
  const at::NoGradGuard no_grad;
  const DenoiserSpec& spec = denoiser->spec();
  const int64_t width = model_->geometry().encoder.width;
  if (spec.width != width || (spec.condition_width != 0 && spec.condition_width != width)) {
    return absl::InvalidArgumentError(absl::StrCat("the denoiser's prompts are ", spec.width,
                                                   " wide, but the model's encoder is ", width));
  }
  std::vector<std::vector<float>> conditions;
  for (uint64_t i = 0; spec.condition_width > 0 && i < validation_.size(); ++i) {
    conditions.push_back(FromTorch(validation_.Conditions({i})).data);
  }
  DDPT_ASSIGN_OR_RETURN(const std::vector<Tensor> served,
                        SamplePrompts(denoiser, options, kValidationSeed, conditions, stop));
  return Compare(served, denoiser->context(), stop);
}

absl::StatusOr<ValidationReport> Trainer::Compare(const std::vector<Tensor>& served,
                                                  std::span<const float> context,
                                                  const StopToken& stop) {
  const std::string& device = model_->geometry().device;
  const at::Tensor plain =
      ToTorch({{1, int64_t(context.size())}, {context.begin(), context.end()}}, device);
  double nll = 0, nll_none = 0, effect = 0, squares = 0, tokens = 0;
  for (uint64_t begin = 0; begin < validation_.size(); begin += kValidationBatch) {
    if (stop.stopped()) return stop.status();
    std::vector<uint64_t> indices(std::min(kValidationBatch, validation_.size() - begin));
    std::iota(indices.begin(), indices.end(), begin);
    std::vector<at::Tensor> rows;
    for (const uint64_t index : indices) {
      rows.push_back(ToTorch(served[served.size() == 1 ? 0 : index], device));
    }
    const at::Tensor prompts = at::stack(rows);
    const auto with = validation_.Score(indices, prompts);
    const auto without = validation_.Score(indices, {});
    const at::Tensor mask = with.mask.to(at::kDouble);
    const at::Tensor p = with.logits.log_softmax(-1), q = without.logits.log_softmax(-1);
    nll -= (with.log_probs * mask).sum().item<double>();
    nll_none -= (without.log_probs * mask).sum().item<double>();
    effect += ((p.exp() * (p - q)).sum(-1) * mask).sum().item<double>();
    squares += (prompts.flatten(1) - plain).square().mean(1).sum().item<double>();
    tokens += mask.sum().item<double>();
  }
  return ValidationReport{.nll = nll / tokens,
                          .nll_none = nll_none / tokens,
                          .prompt_rms = std::sqrt(squares / validation_.size()),
                          .prompt_effect = effect / tokens,
                          .best = false};
}

void Trainer::RememberBest(double nll) {
  best_nll_ = nll;
  for (const auto& [name, tensor] : network_.trained())
    best_weights_[name] = tensor.detach().clone();
  best_reference_ = reference_.clone();
}

absl::StatusOr<std::string> Trainer::BestDenoiser() const {
  if (best_weights_.empty()) {
    return Denoiser::Serialize(network_.spec(), network_.Export(network_.trained(), reference_));
  }
  return Denoiser::Serialize(network_.spec(), network_.Export(best_weights_, best_reference_));
}

// What must agree for a state to be this run's.
std::string Trainer::Identity() const {
  const TuningOptions& o = options_;
  return absl::StrCat(model_->digest(), " ", Piece(model_->geometry().habits.name), " ",
                      train_.size(), " ", validation_.size(), " ", int(o.method), " ", o.seed, " ",
                      o.steps, " ", o.batch_size, " ", HexDouble(o.learning_rate), " ",
                      o.warmup_steps, " ", HexDouble(o.weight_decay), " ", HexDouble(o.clip_norm),
                      " ", o.context_length, " ", o.latent, " ", o.layers, " ", o.train_steps, " ",
                      int(o.reading), " ", int(o.reference), " ", HexDouble(o.ema_decay), " ",
                      o.conditional, " ", HexDouble(o.condition_dropout));
}

}  // namespace ddpt
