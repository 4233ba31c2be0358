#pragma once

#include <cstdint>

#include "core/model/codet5p_config.h"
#include "core/model/state_dict.h"

namespace ddpt {

// Weights for training from scratch or for benchmarks: matrices and embeddings normal with standard
// deviation `scale`, biases 0, norms 1. float32 on the CPU, a function of (config, seed, scale).
StateDict RandomCodet5pWeights(const Codet5pConfig& config, uint64_t seed, float scale = 0.02f);

}  // namespace ddpt
