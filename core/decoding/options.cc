#include "core/decoding/options.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

absl::Status Outside(const char* field, auto value, const char* limit) {
  return FieldError(absl::StrCat("decoding.", field), absl::StrCat(value, " is outside ", limit));
}

absl::Status ValidateBeams(const DecodingOptions& options) {
  const uint32_t beams = options.num_beams;
  if (beams < 1 || beams > 16) return Outside("num_beams", beams, "1..16");
  if (!(std::abs(options.length_penalty) <= 10)) {
    return Outside("length_penalty", options.length_penalty, "-10..10");
  }
  if (beams == 1) return absl::OkStatus();
  if (options.temperature > 0) {
    return FieldError("decoding.temperature",
                      absl::StrCat(options.temperature, " is not 0; beam search does not sample"));
  }
  if (options.n <= beams) return absl::OkStatus();
  return FieldError("decoding.n", absl::StrCat(options.n, " is more than the ", beams, " beams"));
}

absl::Status ValidateBestOf(const DecodingOptions& options) {
  const uint32_t candidates = options.best_of;
  if (candidates < 1 || candidates > 64) return Outside("best_of", candidates, "1..64");
  if (candidates == 1) return absl::OkStatus();
  const auto refuse = [candidates](auto... problem) {
    return FieldError("decoding.best_of", absl::StrCat(candidates, problem...));
  };
  if (candidates < options.n) return refuse(" candidates are fewer than the ", options.n, " of n");
  if (options.num_beams > 1) return refuse(" does not go with ", options.num_beams, " beams");
  if (options.temperature > 0) return absl::OkStatus();
  return refuse(" candidates would be the same at temperature 0");
}

}  // namespace

absl::Status ValidateDecoding(const DecodingOptions& options) {
  if (options.max_new_tokens < 1) return Outside("max_new_tokens", options.max_new_tokens, "1..");
  if (!(options.temperature >= 0 && options.temperature <= 10)) {
    return Outside("temperature", options.temperature, "0..10");
  }
  if (!(options.top_p > 0 && options.top_p <= 1)) {
    return Outside("top_p", options.top_p, "(0, 1]");
  }
  if (!(options.repetition_penalty >= 0.1 && options.repetition_penalty <= 10)) {
    return Outside("repetition_penalty", options.repetition_penalty, "0.1..10");
  }
  if (options.n < 1 || options.n > 16) return Outside("n", options.n, "1..16");
  DDPT_RETURN_IF_ERROR(ValidateBeams(options));
  DDPT_RETURN_IF_ERROR(ValidateBestOf(options));
  if (options.stop.size() > 16) return Outside("stop", options.stop.size(), "0..16 strings");
  for (const std::string& stop : options.stop) {
    if (stop.empty() || stop.size() > 64) return Outside("stop", stop.size(), "1..64 bytes");
  }
  return absl::OkStatus();
}

}  // namespace ddpt
