#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "core/diffusion/denoiser.h"

namespace ddpt {

// Random weights of a valid `spec`, a function of (spec, seed) alone, for trying things, benchmarks
// and tests. Scaled so that W x, phi and x0_hat's feedback W U phi are of order 1 for x ~ N(0, I)
// and a small change of x_T stays small over 2000 steps; the context is of the size of embeddings
// (0.02). For methods kGenerator and kPromptTuning W, and U, are zero.
DenoiserWeights RandomWeights(const DenoiserSpec& spec, uint64_t seed);

// The same as a denoiser, by way of its file's bytes. INVALID_ARGUMENT for an invalid `spec`.
absl::StatusOr<std::shared_ptr<const Denoiser>> RandomDenoiser(const DenoiserSpec& spec,
                                                               uint64_t seed);

}  // namespace ddpt
