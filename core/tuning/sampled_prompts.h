#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/stop_token.h"
#include "core/base/tensor.h"
#include "core/diffusion/latent_engine.h"
#include "core/diffusion/sampling.h"

namespace ddpt {

struct PromptDraw {
  uint64_t number = 0;           // of the seed's draws
  std::vector<float> condition;  // [C], or empty: none
};

// The draws' prompts, [n, w] with the context, in their order; each depends on its own number and
// condition alone. Blocks for the sampling; CANCELLED or DEADLINE_EXCEEDED within one step of
// `stop`.
absl::StatusOr<std::vector<Tensor>> SamplePrompts(const std::shared_ptr<const LatentEngine>& engine,
                                                  const SamplingOptions& options, uint64_t seed,
                                                  const std::vector<PromptDraw>& draws,
                                                  const StopToken& stop);

}  // namespace ddpt
