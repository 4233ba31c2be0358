#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "core/diffusion/denoiser_spec.h"
#include "core/diffusion/noise_stage.h"
#include "core/diffusion/sampling.h"

namespace ddpt {

// Arithmetic classes of the processor: of DrawBatch (by its engine's weights), and of
// FullSpaceSampler<float>, which knows the first only. With float32 weights a GPU gives the same
// bytes; CudaEngine has classes of its own for bfloat16.
inline constexpr char kFloat32Class[] = "fp32-cpu";
inline constexpr char kBfloat16Class[] = "bf16-cpu";

// One draw of a soft prompt.
struct SampleRow {
  uint64_t seed = 0;
  uint64_t draw = 0;  // index of the draw within its request: NoiseKey::sample
  SamplingOptions options = {};
  std::vector<float> condition = {};      // [C], or empty: none
  std::vector<float> initial_noise = {};  // x_T [n, w], or empty: drawn from the seed
  bool add_context = true;  // whether the result contains E: prompt, or direction only
};

// FieldError: whatever ValidateSampling refuses, and "condition" or "initial_noise" of a wrong
// size or not finite, "sampling.guidance_scale" other than 1 without a condition.
absl::Status ValidateRow(const SampleRow& row, const DenoiserSpec& spec);

}  // namespace ddpt
