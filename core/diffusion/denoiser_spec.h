#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace ddpt {

// What the direction vector g = U phi + u of the denoiser means; fixed when it is trained.
enum class Reading {
  kX0,          // x0_hat = g; the prompt is context + x0_hat
  kX0Residual,  // x0_hat = x_t + g; noise outside the range of U stays in the prompt
  kResidual,    // x_{t-1} = x_t + g / T, the paper's words; noise stays likewise
};
enum class ScheduleKind { kLinear, kCosine };
// x_ref of the forward process: a moving average of x0_hat, zero, the context's embedding, or
// x0_hat of the same noise and condition at t = T, so that x_t lies where sampling goes by.
enum class Reference { kEma, kZero, kContext, kOnPolicy };
// How the weights came about. kGenerator has W = 0, kPromptTuning W = 0 and U = 0; so has
// kPrefixTuning, whose prompt is a prefix: keys and values (core/model/prefixes.h).
enum class Method { kDdpt, kGenerator, kPromptTuning, kRandom, kPrefixTuning };
// Whether W = 0 and U = 0: the denoiser has one prompt, E + u.
bool HasOnePrompt(Method method);

// The words of files and receipts: "x0", "x0_residual", "residual"; "linear", "cosine"; "ema",
// "zero", "context", "on_policy"; "ddpt", "generator", "prompt_tuning", "random", "prefix_tuning".
std::string_view Name(Reading reading);
std::string_view Name(ScheduleKind schedule);
std::string_view Name(Reference reference);
std::string_view Name(Method method);
std::optional<Reading> ParseReading(std::string_view name);
std::optional<ScheduleKind> ParseScheduleKind(std::string_view name);
std::optional<Reference> ParseReference(std::string_view name);
std::optional<Method> ParseMethod(std::string_view name);

// Everything about a denoiser but its weights. FORMAT.md has the meaning of each number.
struct DenoiserSpec {
  Reading reading = Reading::kX0;
  ScheduleKind schedule = ScheduleKind::kLinear;
  double beta_start = 1e-4;     // linear only; 1e-9 <= beta_start <= beta_end < 1, and
  double beta_end = 0.02;       // alpha-bar must stay above 1e-30
  int64_t train_steps = 2000;   // T, 1..10,000
  int64_t context_length = 10;  // n, 1..256 context tokens
  int64_t width = 1024;         // w, 1..16,384, the encoder's; n * w at most 2^20; of a prefix
                                // 1..2^20, n * w at most 2^24, which needs reading kX0 and no
                                // condition
  int64_t latent = 256;         // h, 1..4,096; h * n * w at most 2^28
  int64_t layers = 2;           // residual hidden layers, 0..8
  int64_t time_features = 64;   // even, 2..1,024
  int64_t condition_width = 0;  // 0 (no condition)..16,384
  Reference reference = Reference::kEma;
  Method method = Method::kDdpt;
  std::string base_model_digest = {};  // printable ASCII, at most 128 bytes, may be empty
  std::map<std::string, std::string>
      extra;  // free: at most 64 keys of 1..64 bytes, values <= 4 KiB

  // D = n * w.
  int64_t size() const { return context_length * width; }
};

// INVALID_ARGUMENT with the metadata key, its value and the limit.
absl::Status ValidateSpec(const DenoiserSpec& spec);

// The metadata of a denoiser file, and back. Parsing refuses a missing or malformed key, a wrong
// format or version, and whatever ValidateSpec refuses; keys it does not know go to `extra`.
std::map<std::string, std::string> ToMetadata(const DenoiserSpec& spec);
absl::StatusOr<DenoiserSpec> SpecFromMetadata(const std::map<std::string, std::string>& metadata);

}  // namespace ddpt
