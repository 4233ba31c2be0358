#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/diffusion/sampling.h"

namespace ddpt {

// Everything that makes a prompt again, besides the denoiser and, for a conditional task, the
// instruction, of which digests are kept.
struct PromptRecipe {
  std::string task;             // [a-z0-9][a-z0-9-]{0,62}
  std::string denoiser_digest;  // the first 16 bytes of the file's SHA-256, raw
  uint64_t seed = 0;
  uint64_t draw = 0;
  SamplingOptions options;                        // "trailing" spacing
  bool full_space_noise = false;                  // made by FullSpaceSampler, not by LatentBatch
  std::map<std::string, std::string> attributes;  // at most 16, key and value together <= 64 bytes
  std::string condition_digest;                   // 16 raw bytes, or empty: no condition
  std::string arithmetic_class;                   // [a-z0-9-]{1,32}, e.g. "fp32-cpu"
  uint32_t checksum = 0;  // CRC-32C of the prompt's float32 bytes, little endian
};

// The url-safe text "dp1_..." of a recipe. INVALID_ARGUMENT on a field outside the bounds above.
// One recipe has one text.
absl::StatusOr<std::string> EncodePromptId(const PromptRecipe& recipe);

// The inverse. FieldError("prompt_id", ...) for a text that EncodePromptId cannot have written:
// longer than 2 KiB (checked before decoding), cut, changed (a CRC-32C of its own), not canonical,
// or with a field out of bounds. Whether the steps and the sampler fit the denoiser is left to
// ValidateSampling. The checksum is no signature: a deliberate forgery is a valid recipe.
absl::StatusOr<PromptRecipe> DecodePromptId(std::string_view id);

}  // namespace ddpt
