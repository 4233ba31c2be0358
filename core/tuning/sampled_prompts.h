#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/stop_token.h"
#include "core/base/tensor.h"
#include "core/diffusion/denoiser.h"
#include "core/diffusion/sampling.h"

namespace ddpt {

// Draws 0..count-1 of `seed` from a denoiser, prompts [n, w] with the context; draw i under
// condition [C] number i modulo their number, or under none where `conditions` is empty. Blocks for
// the sampling; CANCELLED or DEADLINE_EXCEEDED within one step of `stop`.
absl::StatusOr<std::vector<Tensor>> SamplePrompts(std::shared_ptr<const Denoiser> denoiser,
                                                  const SamplingOptions& options, uint64_t seed,
                                                  size_t count,
                                                  const std::vector<std::vector<float>>& conditions,
                                                  const StopToken& stop);

}  // namespace ddpt
