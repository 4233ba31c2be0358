#include "core/diffusion/denoiser_spec.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/status.h"
#include "core/diffusion/schedule.h"

namespace ddpt {
namespace {

constexpr std::string_view kFormat = "ddpt-denoiser";
constexpr std::string_view kFormatVersion = "1";
constexpr int64_t kMaxSize = int64_t{1} << 20, kMaxPrefixSize = int64_t{1} << 24;
constexpr int64_t kMaxWidth = 16384;
constexpr int64_t kMaxWeights = int64_t{1} << 28;
constexpr double kMinBeta = 1e-9;
constexpr double kMinAlphaBar = 1e-30;
constexpr size_t kMaxDigestBytes = 128;
constexpr size_t kMaxExtraKeys = 64;
constexpr size_t kMaxExtraKeyBytes = 64;
constexpr size_t kMaxExtraValueBytes = 4096;

constexpr std::array<std::string_view, 3> kReadings = {"x0", "x0_residual", "residual"};
constexpr std::array<std::string_view, 2> kSchedules = {"linear", "cosine"};
constexpr std::array<std::string_view, 4> kReferences = {"ema", "zero", "context", "on_policy"};
constexpr std::array<std::string_view, 5> kMethods = {"ddpt", "generator", "prompt_tuning",
                                                      "random", "prefix_tuning"};

template <typename Enum, size_t kCount>
std::optional<Enum> Find(const std::array<std::string_view, kCount>& names, std::string_view name) {
  const auto found = std::ranges::find(names, name);
  if (found == names.end()) return std::nullopt;
  return static_cast<Enum>(found - names.begin());
}

struct IntegerField {
  const char* key;
  int64_t DenoiserSpec::*member;
  int64_t low, high;
};
constexpr IntegerField kIntegers[] = {
    {"train_steps", &DenoiserSpec::train_steps, 1, 10000},
    {"context_length", &DenoiserSpec::context_length, 1, 256},
    {"width", &DenoiserSpec::width, 1, int64_t{1} << 20},
    {"latent", &DenoiserSpec::latent, 1, 4096},
    {"layers", &DenoiserSpec::layers, 0, 8},
    {"time_features", &DenoiserSpec::time_features, 2, 1024},
    {"condition_width", &DenoiserSpec::condition_width, 0, 16384}};

absl::Status Outside(const IntegerField& field, std::string_view value) {
  return FieldError(field.key,
                    absl::StrCat(Piece(value), " is outside ", field.low, "..", field.high));
}

std::string Quote(std::string_view value) {
  const bool cut = value.size() > 64;
  return absl::StrCat("\"", absl::CHexEscape(Piece(value.substr(0, 64))), cut ? "..." : "", "\"");
}

absl::Status ValidateBetas(const DenoiserSpec& spec) {
  if (!(spec.beta_start >= kMinBeta && spec.beta_start < 1)) {
    return FieldError("beta_start",
                      absl::StrCat(spec.beta_start, " is not between ", kMinBeta, " and 1"));
  }
  if (!(spec.beta_end >= spec.beta_start && spec.beta_end < 1)) {
    return FieldError("beta_end", absl::StrCat(spec.beta_end, " is not between beta_start (",
                                               spec.beta_start, ") and 1"));
  }
  const double last = AlphaBars(spec).back();
  if (last < kMinAlphaBar) {
    return FieldError("beta_end",
                      absl::StrCat("alpha-bar ends at ", last, ", the limit is ", kMinAlphaBar));
  }
  return absl::OkStatus();
}

absl::Status ValidateTexts(const DenoiserSpec& spec) {
  const std::string& digest = spec.base_model_digest;
  if (digest.size() > kMaxDigestBytes || !std::ranges::all_of(digest, absl::ascii_isprint)) {
    return FieldError("base_model_digest", absl::StrCat(Quote(digest), " is not at most ",
                                                        kMaxDigestBytes, " printable characters"));
  }
  if (spec.extra.size() > kMaxExtraKeys) {
    return FieldError(
        "metadata", absl::StrCat(spec.extra.size(), " further keys, the limit is ", kMaxExtraKeys));
  }
  for (const auto& [key, value] : spec.extra) {
    if (key.empty() || key.size() > kMaxExtraKeyBytes) {
      return FieldError("metadata", absl::StrCat("the key ", Quote(key), " has ", key.size(),
                                                 " bytes, the limits are 1..", kMaxExtraKeyBytes));
    }
    if (value.size() > kMaxExtraValueBytes) {
      return FieldError(
          key, absl::StrCat(value.size(), " bytes of value, the limit is ", kMaxExtraValueBytes));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckPrefix(const DenoiserSpec& spec) {
  if (spec.reading != Reading::kX0) {
    return FieldError("reading", absl::StrCat(Quote(Name(spec.reading)),
                                              " does not go with method prefix_tuning"));
  }
  if (spec.condition_width == 0) return absl::OkStatus();
  return FieldError("condition_width",
                    absl::StrCat(spec.condition_width, " does not go with method prefix_tuning"));
}

// Takes keys out of the metadata; the first problem stays in `status`.
class Taker {
 public:
  explicit Taker(std::map<std::string, std::string> left) : left_(std::move(left)) {}

  std::string Text(const std::string& key) {
    auto node = left_.extract(key);
    if (!node.empty()) return std::move(node.mapped());
    Refuse(key, "is missing");
    return std::string();
  }

  template <typename Enum>
  void Word(const std::string& key, std::optional<Enum> (*parse)(std::string_view), Enum* out) {
    const std::string text = Text(key);
    const std::optional<Enum> value = parse(text);
    if (value.has_value()) *out = *value;
    if (!value.has_value()) Refuse(key, absl::StrCat(Quote(text), " is unknown"));
  }

  void Integer(const std::string& key, int64_t* out) {
    const std::string text = Text(key);
    if (!absl::SimpleAtoi(text, out) || absl::StrCat(*out) != text) {
      Refuse(key, absl::StrCat(Quote(text), " is not a whole number"));
    }
  }

  void Real(const std::string& key, double* out) {
    const std::string text = Text(key);
    if (text.empty() || text.size() > 32 || !absl::SimpleAtod(text, out) || !std::isfinite(*out)) {
      Refuse(key, absl::StrCat(Quote(text), " is not a finite number"));
    }
  }

  void Exactly(const std::string& key, std::string_view expected) {
    const std::string text = Text(key);
    if (text != expected) {
      Refuse(key, absl::StrCat(Quote(text), " is not ", Quote(expected)));
    }
  }

  void Refuse(std::string_view key, std::string_view problem) {
    if (status_.ok()) status_ = FieldError(key, problem);
  }

  const absl::Status& status() const { return status_; }
  std::map<std::string, std::string> TakeRest() { return std::move(left_); }

 private:
  std::map<std::string, std::string> left_;
  absl::Status status_;
};

}  // namespace

std::string_view Name(Reading reading) { return kReadings[static_cast<size_t>(reading)]; }
std::string_view Name(ScheduleKind schedule) { return kSchedules[static_cast<size_t>(schedule)]; }
std::string_view Name(Reference reference) { return kReferences[static_cast<size_t>(reference)]; }
std::string_view Name(Method method) { return kMethods[static_cast<size_t>(method)]; }

bool HasOnePrompt(Method method) {
  return method == Method::kPromptTuning || method == Method::kPrefixTuning;
}

std::optional<Reading> ParseReading(std::string_view name) {
  return Find<Reading>(kReadings, name);
}
std::optional<ScheduleKind> ParseScheduleKind(std::string_view name) {
  return Find<ScheduleKind>(kSchedules, name);
}
std::optional<Reference> ParseReference(std::string_view name) {
  return Find<Reference>(kReferences, name);
}
std::optional<Method> ParseMethod(std::string_view name) { return Find<Method>(kMethods, name); }

absl::Status ValidateSpec(const DenoiserSpec& spec) {
  for (const IntegerField& field : kIntegers) {
    const int64_t value = spec.*field.member;
    if (value < field.low || value > field.high) return Outside(field, absl::StrCat(value));
  }
  const bool prefix = spec.method == Method::kPrefixTuning;
  if (prefix) {
    DDPT_RETURN_IF_ERROR(CheckPrefix(spec));
  } else if (spec.width > kMaxWidth) {
    return FieldError("width", absl::StrCat(spec.width, " is outside 1..", kMaxWidth));
  }
  if (spec.time_features % 2 != 0) {
    return FieldError("time_features", absl::StrCat(spec.time_features, " is not even"));
  }
  const int64_t most = prefix ? kMaxPrefixSize : kMaxSize;
  if (spec.size() > most) {
    return FieldError(
        "width", absl::StrCat("context_length * width = ", spec.size(), ", the limit is ", most));
  }
  if (spec.latent * spec.size() > kMaxWeights) {
    return FieldError("latent",
                      absl::StrCat("latent * context_length * width = ", spec.latent * spec.size(),
                                   ", the limit is ", kMaxWeights));
  }
  DDPT_RETURN_IF_ERROR(ValidateBetas(spec));
  return ValidateTexts(spec);
}

std::map<std::string, std::string> ToMetadata(const DenoiserSpec& spec) {
  std::map<std::string, std::string> metadata = spec.extra;
  metadata["format"] = std::string(kFormat);
  metadata["format_version"] = std::string(kFormatVersion);
  metadata["reading"] = std::string(Name(spec.reading));
  metadata["schedule"] = std::string(Name(spec.schedule));
  metadata["beta_start"] = absl::StrFormat("%.17g", spec.beta_start);
  metadata["beta_end"] = absl::StrFormat("%.17g", spec.beta_end);
  metadata["reference"] = std::string(Name(spec.reference));
  metadata["method"] = std::string(Name(spec.method));
  metadata["base_model_digest"] = spec.base_model_digest;
  for (const IntegerField& field : kIntegers)
    metadata[field.key] = absl::StrCat(spec.*field.member);
  return metadata;
}

absl::StatusOr<DenoiserSpec> SpecFromMetadata(const std::map<std::string, std::string>& metadata) {
  DenoiserSpec spec;
  Taker taker(metadata);
  taker.Exactly("format", kFormat);
  taker.Exactly("format_version", kFormatVersion);
  taker.Word("reading", ParseReading, &spec.reading);
  taker.Word("schedule", ParseScheduleKind, &spec.schedule);
  taker.Real("beta_start", &spec.beta_start);
  taker.Real("beta_end", &spec.beta_end);
  taker.Word("reference", ParseReference, &spec.reference);
  taker.Word("method", ParseMethod, &spec.method);
  for (const IntegerField& field : kIntegers) taker.Integer(field.key, &(spec.*field.member));
  spec.base_model_digest = taker.Text("base_model_digest");
  DDPT_RETURN_IF_ERROR(taker.status());
  spec.extra = taker.TakeRest();
  DDPT_RETURN_IF_ERROR(ValidateSpec(spec));
  return spec;
}

}  // namespace ddpt
