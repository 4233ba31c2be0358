#include "server/training_options.h"

#include <span>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "server/convert.h"
#include "server/validate.h"

namespace ddpt {
namespace {

constexpr int64_t kMaxContextLength = 64;

absl::StatusOr<Method> MethodOf(v1::Method method) {
  switch (method) {
    case v1::METHOD_UNSPECIFIED:
    case v1::METHOD_DDPT:
      return Method::kDdpt;
    case v1::METHOD_GENERATOR:
      return Method::kGenerator;
    case v1::METHOD_PROMPT_TUNING:
    case v1::METHOD_P_TUNING:
    case v1::METHOD_BBT:
      return Method::kPromptTuning;
    case v1::METHOD_PREFIX_TUNING:
      return Method::kPrefixTuning;
    default:
      return FieldError("method", absl::StrCat(v1::Method_IsValid(method) ? v1::Method_Name(method)
                                                                          : absl::StrCat(method),
                                               " is not served"));
  }
}

absl::StatusOr<Reference> ReferenceOf(v1::Reference reference) {
  switch (reference) {
    case v1::REFERENCE_UNSPECIFIED:
    case v1::REFERENCE_EMA:
      return Reference::kEma;
    case v1::REFERENCE_ZERO:
      return Reference::kZero;
    case v1::REFERENCE_CONTEXT:
      return Reference::kContext;
    case v1::REFERENCE_ON_POLICY:
      return Reference::kOnPolicy;
    default:
      return FieldError("options.reference", absl::StrCat(reference, " is no Reference"));
  }
}

absl::StatusOr<SamplingOptions> ValidationSampling(const v1::TrainingOptions& given,
                                                   const TuningOptions& options) {
  if (!v1::Sampler_IsValid(given.validation_sampler())) {
    return FieldError("options.validation_sampler",
                      absl::StrCat(given.validation_sampler(), " is no Sampler"));
  }
  v1::SamplingOptions sampling;
  sampling.set_sampler(given.validation_sampler());
  if (given.has_validation_steps()) sampling.set_steps(given.validation_steps());
  absl::StatusOr<SamplingOptions> converted =
      FromProto(sampling, TunedSpec(options, /*width=*/1, /*model_digest=*/""));
  if (converted.ok()) return converted;
  return FieldError(FieldOf(converted.status()) == "sampling.steps" ? "options.validation_steps"
                                                                    : "options.validation_sampler",
                    {converted.status().message().data(), converted.status().message().size()});
}

// An option that goes with one method alone, or with all others.
struct MethodField {
  const char* name;
  bool set, of_method;
};

absl::Status CheckFields(std::span<const MethodField> fields, std::string_view method, bool is_it) {
  for (const MethodField& field : fields) {
    if (!field.set || field.of_method == is_it) continue;
    return FieldError(
        absl::StrCat("options.", field.name),
        absl::StrCat(is_it ? "does not go with method " : "needs method ", Piece(method)));
  }
  return absl::OkStatus();
}

// BBT has no gradients and nothing that is noised; the others have no search.
absl::Status CheckOptimizer(const v1::TrainRequest& request) {
  const v1::TrainingOptions& given = request.options();
  const MethodField fields[] = {
      {"learning_rate", given.has_learning_rate(), false},
      {"warmup_steps", given.has_warmup_steps(), false},
      {"weight_decay", given.has_weight_decay(), false},
      {"clip_norm", given.has_clip_norm(), false},
      {"weight_ema_decay", given.has_weight_ema_decay(), false},
      {"reference", given.reference() != v1::REFERENCE_UNSPECIFIED, false},
      {"ema_decay", given.has_ema_decay(), false},
      {"subspace_width", given.has_subspace_width(), true},
      {"population", given.has_population(), true},
      {"sigma", given.has_sigma(), true}};
  return CheckFields(fields, "BBT", request.method() == v1::METHOD_BBT);
}

// A prefix has no network and nothing that is noised; the others have no place.
absl::Status CheckPrefix(const v1::TrainRequest& request) {
  const v1::TrainingOptions& given = request.options();
  const MethodField fields[] = {
      {"latent_width", given.has_latent_width(), false},
      {"layers", given.has_layers(), false},
      {"reference", given.reference() != v1::REFERENCE_UNSPECIFIED, false},
      {"ema_decay", given.has_ema_decay(), false},
      {"prefix_place", given.prefix_place() != v1::PREFIX_PLACE_UNSPECIFIED, true}};
  DDPT_RETURN_IF_ERROR(
      CheckFields(fields, "PREFIX_TUNING", request.method() == v1::METHOD_PREFIX_TUNING));
  if (v1::PrefixPlace_IsValid(given.prefix_place())) return absl::OkStatus();
  return FieldError("options.prefix_place",
                    absl::StrCat(given.prefix_place(), " is no PrefixPlace"));
}

absl::Status CheckPromptEncoder(const v1::TrainRequest& request) {
  const v1::TrainingOptions& given = request.options();
  const MethodField fields[] = {
      {"prompt_encoder", given.prompt_encoder() != v1::PROMPT_ENCODER_UNSPECIFIED, true},
      {"prompt_encoder_width", given.has_prompt_encoder_width(), true}};
  return CheckFields(fields, "P_TUNING", request.method() == v1::METHOD_P_TUNING);
}

absl::StatusOr<ContextStart> ContextStartOf(v1::ContextStart start) {
  switch (start) {
    case v1::CONTEXT_START_UNSPECIFIED:
    case v1::CONTEXT_START_TEXT:
      return ContextStart::kText;
    case v1::CONTEXT_START_VOCABULARY:
      return ContextStart::kVocabulary;
    case v1::CONTEXT_START_RANDOM:
      return ContextStart::kRandom;
    default:
      return FieldError("options.context_start", absl::StrCat(start, " is no ContextStart"));
  }
}

absl::StatusOr<PromptEncoder::Kind> PromptEncoderOf(v1::PromptEncoder encoder) {
  switch (encoder) {
    case v1::PROMPT_ENCODER_UNSPECIFIED:
    case v1::PROMPT_ENCODER_MLP:
      return PromptEncoder::Kind::kMlp;
    case v1::PROMPT_ENCODER_LSTM:
      return PromptEncoder::Kind::kLstm;
    default:
      return FieldError("options.prompt_encoder", absl::StrCat(encoder, " is no PromptEncoder"));
  }
}

}  // namespace

absl::StatusOr<Tensor> StartPromptOf(const v1::TrainRequest& request) {
  if (!request.has_start_prompt()) return Tensor{};
  const v1::TrainingOptions& options = request.options();
  const v1::Tensor& given = request.start_prompt();
  if (options.has_context_text() || options.context_start() != v1::CONTEXT_START_UNSPECIFIED) {
    return FieldError("start_prompt", "does not go with options.context_text or context_start");
  }
  const int64_t rows = given.shape_size() == 2 ? given.shape(0) : 0;
  if (rows < 1 || rows > kMaxContextLength ||
      (options.has_context_length() && options.context_length() != rows)) {
    return FieldError("start_prompt",
                      absl::StrCat("its shape must be [n, w] with n in 1..", kMaxContextLength,
                                   ", options.context_length where that is given; n is ", rows));
  }
  DDPT_RETURN_IF_ERROR(ValidateDataType("start_prompt.dtype", given.dtype()));
  const int64_t expected[] = {rows, given.shape(1)};
  return FromProto(given, "start_prompt", expected);
}

absl::StatusOr<TuningOptions> TuningOptionsOf(const v1::TrainRequest& request) {
  const v1::TrainingOptions& given = request.options();
  TuningOptions options;
  DDPT_RETURN_IF_ERROR(StartPromptOf(request).status());
  DDPT_ASSIGN_OR_RETURN(options.method, MethodOf(request.method()));
  DDPT_RETURN_IF_ERROR(CheckOptimizer(request));
  DDPT_RETURN_IF_ERROR(CheckPrefix(request));
  DDPT_RETURN_IF_ERROR(CheckPromptEncoder(request));
  if (given.prefix_place() == v1::PREFIX_PLACE_DECODER) {
    options.prefix_place = PrefixPlace::kDecoder;
  }
  if (request.method() == v1::METHOD_BBT) options.optimizer = Optimizer::kBbt;
  DDPT_ASSIGN_OR_RETURN(options.reference, ReferenceOf(given.reference()));
  if (!v1::Reading_IsValid(given.reading())) {
    return FieldError("options.reading", absl::StrCat(given.reading(), " is no Reading"));
  }
  options.reading = ddpt::FromProto(given.reading());
  DDPT_ASSIGN_OR_RETURN(options.context_start, ContextStartOf(given.context_start()));
  if (request.method() == v1::METHOD_P_TUNING) {
    DDPT_ASSIGN_OR_RETURN(options.prompt_encoder, PromptEncoderOf(given.prompt_encoder()));
  }
  const bool direct = HasOnePrompt(options.method) && !options.prompt_encoder;
  options.learning_rate = given.has_learning_rate() ? given.learning_rate() : direct ? 0.03 : 1e-3;
  if (given.has_steps()) options.steps = given.steps();
  options.warmup_steps = given.has_warmup_steps() ? given.warmup_steps() : options.steps / 20;
  if (given.has_batch_size()) options.batch_size = given.batch_size();
  if (given.has_checkpoint_every()) options.checkpoint_every = given.checkpoint_every();
  if (given.has_seed()) options.seed = given.seed();
  if (given.has_weight_decay()) options.weight_decay = given.weight_decay();
  if (given.has_clip_norm()) options.clip_norm = given.clip_norm();
  if (given.has_subspace_width()) options.subspace_width = given.subspace_width();
  if (given.has_population()) options.population = given.population();
  if (given.has_sigma()) options.sigma = given.sigma();
  if (given.has_prompt_encoder_width()) options.prompt_encoder_width = given.prompt_encoder_width();
  if (given.has_weight_ema_decay()) options.weight_ema_decay = given.weight_ema_decay();
  if (given.has_micro_batch_size()) {
    if (given.micro_batch_size() == 0) {
      return FieldError("options.micro_batch_size", "0 is outside 1..1024");
    }
    options.micro_batch_size = given.micro_batch_size();
  }
  if (given.has_context_length()) options.context_length = given.context_length();
  if (request.has_start_prompt()) options.context_length = request.start_prompt().shape(0);
  if (given.has_latent_width()) options.latent = given.latent_width();
  if (given.has_layers()) options.layers = given.layers();
  if (given.has_train_steps()) options.train_steps = given.train_steps();
  if (given.has_ema_decay()) options.ema_decay = given.ema_decay();
  if (given.has_time_step_power()) options.time_step_power = given.time_step_power();
  if (given.has_draws()) options.draws = given.draws();
  if (options.draws > 1 && given.reference() == v1::REFERENCE_UNSPECIFIED) {
    options.reference = Reference::kOnPolicy;
  }
  if (given.has_max_prompt_rms()) options.max_prompt_rms = given.max_prompt_rms();
  if (given.has_condition_dropout()) options.condition_dropout = given.condition_dropout();
  options.conditional = given.conditional();
  if (given.has_condition_dropout() && !options.conditional) {
    return FieldError("options.condition_dropout", "needs options.conditional");
  }
  // The sampler's steps are bounded by T, which must be in its range first.
  const int64_t train_steps = options.train_steps;
  if (train_steps < 1 || train_steps > 10'000) {
    return FieldError("options.train_steps", absl::StrCat(train_steps, " is outside 1..10000"));
  }
  DDPT_ASSIGN_OR_RETURN(options.validation, ValidationSampling(given, options));
  DDPT_RETURN_IF_ERROR(ValidateTuning(options));
  return options;
}

}  // namespace ddpt
