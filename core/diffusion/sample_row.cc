#include "core/diffusion/sample_row.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

absl::Status CheckVector(std::string_view field, std::span<const float> values, int64_t size) {
  if (values.empty()) return absl::OkStatus();
  if (values.size() != static_cast<size_t>(size)) {
    return FieldError(field, absl::StrCat(values.size(), " elements, the denoiser takes ", size));
  }
  const auto bad = std::ranges::find_if(values, [](float value) { return !std::isfinite(value); });
  if (bad == values.end()) return absl::OkStatus();
  return FieldError(field, absl::StrCat("element ", bad - values.begin(), " is not finite"));
}

}  // namespace

absl::Status ValidateRow(const SampleRow& row, const DenoiserSpec& spec) {
  DDPT_RETURN_IF_ERROR(ValidateSampling(row.options, spec));
  DDPT_RETURN_IF_ERROR(CheckVector("condition", row.condition, spec.condition_width));
  if (row.options.guidance_scale != 1 && row.condition.empty()) {
    return FieldError(
        "sampling.guidance_scale",
        absl::StrCat(row.options.guidance_scale, " is not 1, but no condition is ", "given"));
  }
  return CheckVector("initial_noise", row.initial_noise, spec.size());
}

}  // namespace ddpt
