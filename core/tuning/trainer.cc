#include "core/tuning/trainer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/pause.h"
#include "core/base/status.h"
#include "core/diffusion/latent_engine.h"
#include "core/model/batch.h"
#include "core/model/language_model.h"
#include "core/model/prefixes.h"
#include "core/tuning/attributes.h"
#include "core/tuning/black_box_tuner.h"
#include "core/tuning/context.h"
#include "core/tuning/gradient_tuner.h"
#include "core/tuning/sampled_prompts.h"

namespace ddpt {
namespace {

constexpr uint64_t kValidationSeed = 0x5eed;
constexpr int64_t kValidationBatch = 32;
constexpr size_t kCentringExamples = 256;

double RootMeanSquare(const at::Tensor& values) {
  return std::sqrt(values.to(at::kDouble).square().mean().item<double>());
}

std::optional<PromptEncoder> EncoderOf(const TuningOptions& options, int64_t width) {
  if (!options.prompt_encoder) return std::nullopt;
  return PromptEncoder(*options.prompt_encoder, options.context_length, width,
                       options.prompt_encoder_width);
}

// [B], nats.
at::Tensor NllOfEach(const PreparedExamples::Losses& scored) {
  return -(scored.log_probs.detach() * scored.mask).sum(1).to(at::kFloat);
}

// The draws of the one prompt that all examples have.
std::vector<PromptDraw> DrawsOfAll(int64_t count) {
  std::vector<PromptDraw> draws(count);
  for (int64_t draw = 0; draw < count; ++draw) draws[draw].number = draw;
  return draws;
}

// Of the prompts of these examples, each under its condition: of each draw in turn.
std::vector<PromptDraw> DrawsOfEach(PreparedExamples& examples,
                                    const std::vector<uint64_t>& indices, int64_t count) {
  std::vector<std::vector<float>> conditions;
  for (const uint64_t index : indices) {
    conditions.push_back(FromTorch(examples.Conditions({index})).data);
  }
  std::vector<PromptDraw> draws;
  for (int64_t draw = 0; draw < count; ++draw) {
    for (size_t i = 0; i < indices.size(); ++i) {
      draws.push_back({draw * examples.size() + indices[i], conditions[i]});
    }
  }
  return draws;
}

DenoiserSpec SpecOf(const TuningOptions& options, const LanguageModel& model,
                    const std::set<std::string>& attribute_names) {
  DenoiserSpec spec = TunedSpec(options, PromptWidth(options, model.geometry()), model.digest());
  if (options.conditional && !attribute_names.empty()) {
    spec.extra[kAttributeNames] = JoinNames(attribute_names);
  }
  return spec;
}

std::string HexDouble(double value) { return absl::StrFormat("%a", value); }

}  // namespace

absl::StatusOr<std::unique_ptr<Trainer>> Trainer::Create(std::shared_ptr<const LanguageModel> model,
                                                         const TuningOptions& options, Data data,
                                                         const TrunkStorage& trunks) {
  DDPT_RETURN_IF_ERROR(ValidateTuning(options));
  if (data.train.empty()) return FieldError("data", "holds no training examples");
  if (data.validation.empty()) return FieldError("data", "holds no validation examples");
  if (data.context_ids.empty()) return FieldError("options.context_text", "holds no tokens");
  DDPT_RETURN_IF_ERROR(FitTuning(options, model->geometry()));
  const Tensor context = data.start.data.empty()
                             ? StartingContext(*model, options, data.context_ids, data.train)
                             : data.start;
  const at::NoGradGuard no_grad;
  return std::unique_ptr<Trainer>(
      new Trainer(std::move(model), options, std::move(data), trunks, context));
}

Trainer::Trainer(std::shared_ptr<const LanguageModel> model, const TuningOptions& options,
                 Data data, const TrunkStorage& trunks, const Tensor& context)
    : model_(std::move(model)),
      options_(options),
      limits_(MicroBatchLimitsFor(model_->geometry(), options.micro_batch_size)),
      network_(SpecOf(options, *model_, data.attribute_names), context, options.seed,
               model_->geometry().device, EncoderOf(options, model_->geometry().encoder.width)),
      train_(model_, std::move(data.train), options.conditional,
             {trunks.memory_bytes / 4 * 3, trunks.file}),
      validation_(model_, std::move(data.validation), options.conditional,
                  {trunks.memory_bytes / 4, trunks.file}),
      order_(options.seed, train_.size()) {
  if (options.conditional) {
    network_.CentreConditions(
        train_.Conditions(order_.Batch(0, std::min(train_.size(), kCentringExamples))));
  }
  if (options.optimizer == Optimizer::kBbt) {
    tuner_ = std::make_unique<BlackBoxTuner>(options_, *model_, network_);
  } else {
    tuner_ = std::make_unique<GradientTuner>(options_, network_, train_);
  }
}

// The loss of prompts of x0 [R, D] on the batch, a piece of it after the other; where x0 is a leaf
// that requires a gradient, it has it afterwards.
Trainer::Losses Trainer::ScoreOne(const std::vector<uint64_t>& batch, const at::Tensor& x0) {
  const DenoiserSpec& spec = network_.spec();
  std::vector<at::Tensor> losses;
  at::Tensor nlls = at::empty({int64_t(batch.size())}, at::kFloat);
  for (const auto& piece : MicroBatches(train_.Lengths(batch), limits_)) {
    std::vector<uint64_t> indices;
    for (const int64_t row : piece) indices.push_back(batch[row]);
    const at::Tensor places = at::tensor(at::IntArrayRef(piece), at::kLong);
    const at::Tensor rows = x0.size(0) == 1 ? x0 : x0.index_select(0, places.to(x0.device()));
    const at::Tensor prompts = network_.context() + rows;
    const auto scored =
        train_.Score(indices, prompts.reshape({-1, spec.context_length, spec.width}));
    const double share = double(train_.AnswerTokens(indices)) / train_.AnswerTokens(batch);
    losses.push_back(MeanNll(scored.log_probs, scored.mask) * share);
    PausePoint();
    if (x0.requires_grad()) losses.back().backward();
    PausePoint();
    losses.back() = losses.back().detach();
    nlls.index_copy_(0, places, NllOfEach(scored).cpu());
  }
  return {at::stack(losses).sum(), nlls.to(x0.device())};
}

// Of the proposals one after the other: memory is that of a single piece of a batch.
Tuner::Scores Trainer::Score(const std::vector<uint64_t>& batch, const at::Tensor& proposed) {
  std::vector<at::Tensor> losses, nlls, gradients;
  for (const at::Tensor& proposal : proposed.unbind()) {
    const at::Tensor x0 = proposal.detach().set_requires_grad(proposed.requires_grad());
    const Losses scored = ScoreOne(batch, x0);
    losses.push_back(scored.mean);
    nlls.push_back(scored.nlls);
    if (x0.requires_grad()) gradients.push_back(x0.grad());
  }
  return {at::stack(losses), at::stack(nlls),
          gradients.empty() ? at::Tensor() : at::stack(gradients)};
}

absl::StatusOr<StepReport> Trainer::Step() {
  const std::vector<uint64_t> batch = order_.Batch(step(), options_.batch_size);
  const at::Tensor proposed = tuner_->Propose(batch);
  PausePoint();
  const at::Tensor x0 = proposed.detach().flatten(0, 1);
  StepReport report{.prompt_rms = RootMeanSquare(x0)};
  if (!(report.prompt_rms <= options_.max_prompt_rms)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "step ", step() + 1, ": the RMS of x0_hat is ", report.prompt_rms,
        ", above max_prompt_rms ", options_.max_prompt_rms, "; ",
        options_.optimizer == Optimizer::kBbt ? "a smaller sigma"
                                              : "a lower learning rate or the reference ZERO",
        " may help"));
  }
  const Tuner::Scores scores = Score(batch, proposed);
  report.loss = scores.losses.mean().item<double>();
  if (!std::isfinite(report.loss)) {
    return absl::FailedPreconditionError(
        absl::StrCat("step ", step() + 1, ": the loss is ", report.loss));
  }
  report.prompt_variance = x0.var(0, /*unbiased=*/false).mean().item<double>() /
                           (report.prompt_rms * report.prompt_rms + 1e-30);
  DDPT_ASSIGN_OR_RETURN(report.tuner, tuner_->Update(proposed, scores));
  return report;
}

absl::StatusOr<ValidationReport> Trainer::Validate(const StopToken& stop) {
  DDPT_ASSIGN_OR_RETURN(
      const std::string file,
      Denoiser::Serialize(network_.spec(), network_.Export(tuner_->Served(), tuner_->reference())));
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
  if (!TakesPromptWidth(model_->geometry(), spec.width) ||
      (spec.condition_width != 0 && spec.condition_width != width)) {
    return absl::InvalidArgumentError(absl::StrCat("the denoiser's prompts are ", spec.width,
                                                   " wide, the model's are ",
                                                   PromptWidths(model_->geometry())));
  }
  DDPT_ASSIGN_OR_RETURN(const auto engine, LatentEngine::Create(denoiser));
  const std::string& device = model_->geometry().device;
  const bool conditional = spec.condition_width > 0;
  const auto sample = [&](const std::vector<PromptDraw>& draws) {
    return SamplePrompts(engine, options, kValidationSeed, draws, stop);
  };
  std::vector<Tensor> served;  // of each draw in turn, the one of all examples or those of a piece
  if (!conditional) {
    DDPT_ASSIGN_OR_RETURN(served, sample(DrawsOfAll(options_.draws)));
  }
  const std::span<const float> context = denoiser->context();
  const at::Tensor plain =
      ToTorch({{1, int64_t(context.size())}, {context.begin(), context.end()}}, device);
  double nll = 0, nll_none = 0, effect = 0, squares = 0, tokens = 0;
  std::vector<uint64_t> all(validation_.size());
  std::iota(all.begin(), all.end(), 0);
  MicroBatchLimits limits = limits_;
  limits.rows = std::min(limits.rows, kValidationBatch);
  for (const auto& piece : MicroBatches(validation_.Lengths(all), limits)) {
    const std::vector<uint64_t> indices(piece.begin(), piece.end());
    if (conditional) {
      DDPT_ASSIGN_OR_RETURN(served, sample(DrawsOfEach(validation_, indices, options_.draws)));
    }
    const auto without = validation_.Score(indices, {});
    const at::Tensor mask = without.mask.to(at::kDouble), q = without.logits.log_softmax(-1);
    std::vector<at::Tensor> nlls;
    for (int64_t draw = 0; draw < options_.draws; ++draw) {
      if (stop.stopped()) return stop.status();
      std::vector<at::Tensor> rows;
      for (size_t i = 0; i < indices.size(); ++i) {
        rows.push_back(ToTorch(served[conditional ? draw * indices.size() + i : draw], device));
      }
      const at::Tensor prompts = at::stack(rows);
      const auto with = validation_.Score(indices, prompts);
      const at::Tensor p = with.logits.log_softmax(-1);
      nlls.push_back(NllOfEach(with));
      effect += ((p.exp() * (p - q)).sum(-1) * mask).sum().item<double>() / options_.draws;
      squares +=
          (prompts.flatten(1) - plain).square().mean(1).sum().item<double>() / options_.draws;
    }
    nll += at::stack(nlls).amin(0).sum().item<double>();
    nll_none += NllOfEach(without).sum().item<double>();
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
  for (const auto& [name, tensor] : tuner_->Served()) {
    best_weights_[name] = tensor.detach().clone();
  }
  best_reference_ = tuner_->reference().clone();
}

absl::StatusOr<std::string> Trainer::BestDenoiser() const {
  if (best_weights_.empty()) {
    return Denoiser::Serialize(network_.spec(),
                               network_.Export(tuner_->Served(), tuner_->reference()));
  }
  return Denoiser::Serialize(network_.spec(), network_.Export(best_weights_, best_reference_));
}

// What must agree for a state to be this run's.
std::string Trainer::Identity() const {
  const TuningOptions& o = options_;
  const std::string bbt =
      o.optimizer == Optimizer::kBbt
          ? absl::StrCat(" bbt ", o.subspace_width, " ", o.population, " ", HexDouble(o.sigma))
          : "";
  const std::string encoder = o.prompt_encoder ? absl::StrCat(" encoder ", int(*o.prompt_encoder),
                                                              " ", o.prompt_encoder_width)
                                               : "";
  const std::string draws = o.draws > 1 ? absl::StrCat(" draws ", o.draws) : "";
  const std::string times =
      o.time_step_power != 1 ? absl::StrCat(" times ", HexDouble(o.time_step_power)) : "";
  // Not as it once was, by noising x0_hat of t = T.
  const std::string policy = o.reference == Reference::kOnPolicy
                                 ? absl::StrCat(" ddim ", GradientTuner::kPolicySteps)
                                 : "";
  const std::string prefix =
      o.method == Method::kPrefixTuning ? absl::StrCat(" prefix ", int(o.prefix_place)) : "";
  return absl::StrCat(model_->digest(), " ", Piece(model_->geometry().habits.name), " ",
                      train_.size(), " ", validation_.size(), " ", int(o.method), " ", o.seed, " ",
                      o.steps, " ", o.batch_size, " ", o.micro_batch_size, " ",
                      HexDouble(o.learning_rate), " ", o.warmup_steps, " ",
                      HexDouble(o.weight_decay), " ", HexDouble(o.clip_norm), " ", o.context_length,
                      " ", o.latent, " ", o.layers, " ", o.train_steps, " ", int(o.reading), " ",
                      int(o.reference), " ", HexDouble(o.ema_decay), " ", o.conditional, " ",
                      HexDouble(o.condition_dropout), " ", HexDouble(o.weight_ema_decay), " ",
                      int(o.context_start), bbt, encoder, draws, times, policy, prefix);
}

}  // namespace ddpt
