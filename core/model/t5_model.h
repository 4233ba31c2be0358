#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/model/language_model.h"
#include "core/model/state_dict.h"
#include "core/model/t5_config.h"

namespace ddpt {

// Makes a model of weights in memory, all float32 or bfloat16 (that is the compute dtype) and on
// one device; it shares their memory. Every decoder layer looks at the encoder, so a trunk holds no
// more than the decoder's tokens. INVALID_ARGUMENT lists missing, surplus and mis-shaped tensors.
absl::StatusOr<std::shared_ptr<const LanguageModel>> CreateT5Model(const T5Config& config,
                                                                   const StateDict& weights,
                                                                   std::string digest = "");

}  // namespace ddpt
