#include "core/tuning/options.h"

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

template <typename Number>
absl::Status InRange(std::string_view field, Number value, Number low, Number high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return FieldError(absl::StrCat("options.", Piece(field)),
                    absl::StrCat(value, " is outside ", low, "..", high));
}

absl::Status PositiveUpTo(std::string_view field, double value, double high) {
  if (value > 0 && value <= high) return absl::OkStatus();
  return FieldError(absl::StrCat("options.", Piece(field)),
                    absl::StrCat(value, " is not above 0 and at most ", high));
}

absl::Status CheckNumbers(const TuningOptions& o) {
  DDPT_RETURN_IF_ERROR(InRange<int64_t>("steps", o.steps, 1, 1'000'000));
  DDPT_RETURN_IF_ERROR(InRange<int64_t>("batch_size", o.batch_size, 1, 1024));
  DDPT_RETURN_IF_ERROR(InRange<int64_t>("micro_batch_size", o.micro_batch_size, 0, 1024));
  DDPT_RETURN_IF_ERROR(PositiveUpTo("learning_rate", o.learning_rate, 1));
  DDPT_RETURN_IF_ERROR(InRange<int64_t>("warmup_steps", o.warmup_steps, 0, o.steps));
  DDPT_RETURN_IF_ERROR(InRange<double>("weight_decay", o.weight_decay, 0, 1));
  DDPT_RETURN_IF_ERROR(InRange<double>("weight_ema_decay", o.weight_ema_decay, 0, 0.999999));
  DDPT_RETURN_IF_ERROR(InRange<int64_t>("prompt_encoder_width", o.prompt_encoder_width, 1, 1024));
  DDPT_RETURN_IF_ERROR(PositiveUpTo("clip_norm", o.clip_norm, 1e6));
  DDPT_RETURN_IF_ERROR(InRange<int64_t>("subspace_width", o.subspace_width, 1, 500));
  DDPT_RETURN_IF_ERROR(InRange<int64_t>("population", o.population, 4, 1024));
  DDPT_RETURN_IF_ERROR(PositiveUpTo("sigma", o.sigma, 100));
  DDPT_RETURN_IF_ERROR(InRange<int64_t>("checkpoint_every", o.checkpoint_every, 1, 1'000'000));
  DDPT_RETURN_IF_ERROR(InRange<int64_t>("context_length", o.context_length, 1, 64));
  DDPT_RETURN_IF_ERROR(InRange<int64_t>("latent_width", o.latent, 1, 1024));
  DDPT_RETURN_IF_ERROR(InRange<int64_t>("layers", o.layers, 0, 8));
  DDPT_RETURN_IF_ERROR(InRange<int64_t>("train_steps", o.train_steps, 1, 10'000));
  DDPT_RETURN_IF_ERROR(InRange<double>("ema_decay", o.ema_decay, 0, 0.999999));
  DDPT_RETURN_IF_ERROR(PositiveUpTo("time_step_power", o.time_step_power, 10));
  DDPT_RETURN_IF_ERROR(InRange<int64_t>("draws", o.draws, 1, 64));
  DDPT_RETURN_IF_ERROR(InRange<double>("condition_dropout", o.condition_dropout, 0, 0.9));
  return PositiveUpTo("max_prompt_rms", o.max_prompt_rms, 1e6);
}

}  // namespace

absl::Status ValidateTuning(const TuningOptions& options) {
  DDPT_RETURN_IF_ERROR(CheckNumbers(options));
  if (options.method == Method::kRandom) {
    return FieldError("method", "'random' cannot be trained");
  }
  if (options.optimizer == Optimizer::kBbt && options.method != Method::kPromptTuning) {
    return FieldError("method", absl::StrCat("'", Piece(Name(options.method)),
                                             "' cannot be trained by BBT; use prompt_tuning"));
  }
  if (options.prompt_encoder &&
      (options.method != Method::kPromptTuning || options.optimizer == Optimizer::kBbt)) {
    return FieldError("options.prompt_encoder", "needs prompt_tuning by gradients");
  }
  if (options.reference == Reference::kOnPolicy && options.reading == Reading::kResidual) {
    return FieldError("options.reference",
                      "'on_policy' does not go with reading 'residual', which has no x0_hat");
  }
  if (options.method != Method::kDdpt && options.reading != Reading::kX0) {
    return FieldError("options.reading",
                      absl::StrCat("'", Piece(Name(options.reading)), "' needs method ddpt"));
  }
  if (options.method != Method::kDdpt && options.draws > 1) {
    return FieldError("options.draws",
                      absl::StrCat(options.draws, " of method ", Piece(Name(options.method)),
                                   ", which draws nothing; use ddpt"));
  }
  if (options.method != Method::kDdpt && options.time_step_power != 1) {
    return FieldError("options.time_step_power",
                      absl::StrCat(options.time_step_power, " of method ",
                                   Piece(Name(options.method)), ", which has no time; use ddpt"));
  }
  if (HasOnePrompt(options.method) && options.conditional) {
    return FieldError(
        "options.conditional",
        absl::StrCat("true does not fit ", Piece(Name(options.method)), ": it has one prompt"));
  }
  const absl::Status sampler = ValidateSampling(options.validation, TunedSpec(options, 1, ""));
  return sampler.ok() ? sampler
                      : FieldError("options.validation_sampler",
                                   {sampler.message().data(), sampler.message().size()});
}

int64_t PromptWidth(const TuningOptions& options, const ModelGeometry& geometry) {
  return options.method == Method::kPrefixTuning ? PrefixWidth(geometry, options.prefix_place)
                                                 : geometry.encoder.width;
}

absl::Status FitTuning(const TuningOptions& options, const ModelGeometry& geometry) {
  const int64_t width = PromptWidth(options, geometry);
  if (options.method == Method::kPrefixTuning && !PrefixOfWidth(geometry, width)) {
    return FieldError("options.prefix_place",
                      absl::StrCat("the model's prefixes there are ", width,
                                   " wide, as its soft prompts are, and so cannot be served"));
  }
  const absl::Status fits = ValidateSpec(TunedSpec(options, width, ""));
  if (FieldOf(fits) != "width" && FieldOf(fits) != "latent") return fits;
  return FieldError("options.context_length",
                    absl::StrCat(options.context_length,
                                 " vectors of this model do not fit into a "
                                 "denoiser file: ",
                                 fits.message()));
}

DenoiserSpec TunedSpec(const TuningOptions& options, int64_t width,
                       const std::string& model_digest) {
  DenoiserSpec spec;
  spec.reading = options.reading;
  spec.train_steps = options.train_steps;
  spec.context_length = options.context_length;
  spec.width = width;
  spec.latent = options.latent;
  spec.layers = options.layers;
  spec.condition_width = options.conditional ? width : 0;
  spec.reference = options.reference;
  spec.method = options.method;
  spec.base_model_digest = model_digest;
  if (options.conditional) spec.extra["condition"] = "encoder_mean";
  if (options.prompt_encoder) {
    spec.extra["prompt_encoder"] =
        *options.prompt_encoder == PromptEncoder::Kind::kMlp ? "mlp" : "lstm";
  }
  if (options.optimizer == Optimizer::kBbt) {
    spec.reference = Reference::kZero;
    spec.extra["optimizer"] = "bbt";
  }
  if (options.method == Method::kPrefixTuning) {
    // As small as can be: U and W are zero, and as large as the prefix for each unit.
    spec.latent = 1;
    spec.layers = 0;
    spec.reference = Reference::kZero;
    spec.extra["prefix"] = options.prefix_place == PrefixPlace::kAll ? "all" : "decoder";
  }
  return spec;
}

}  // namespace ddpt
