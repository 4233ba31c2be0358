#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/stop_token.h"
#include "core/base/tensor.h"
#include "core/diffusion/denoiser.h"
#include "core/diffusion/sampling.h"

namespace ddpt {

// Draws 0, 1, ... of `seed` from a denoiser, prompts [n, w] with the context: one for each
// condition [C], or a single one where `conditions` is empty. Blocks for the sampling; CANCELLED or
// DEADLINE_EXCEEDED within one step of `stop`.
absl::StatusOr<std::vector<Tensor>> SamplePrompts(std::shared_ptr<const Denoiser> denoiser,
                                                  const SamplingOptions& options, uint64_t seed,
                                                  const std::vector<std::vector<float>>& conditions,
                                                  const StopToken& stop);

}  // namespace ddpt
