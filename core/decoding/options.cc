#include "core/decoding/options.h"

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

absl::Status Outside(const char* field, auto value, const char* limit) {
  return FieldError(absl::StrCat("decoding.", field), absl::StrCat(value, " is outside ", limit));
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
  if (options.stop.size() > 16) return Outside("stop", options.stop.size(), "0..16 strings");
  for (const std::string& stop : options.stop) {
    if (stop.empty() || stop.size() > 64) return Outside("stop", stop.size(), "1..64 bytes");
  }
  return absl::OkStatus();
}

}  // namespace ddpt
