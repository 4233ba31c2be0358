#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/base/tensor.h"
#include "core/model/codet5p_config.h"
#include "core/model/language_model.h"
#include "core/model/state_dict.h"

namespace ddpt {

// Makes a model of weights in memory. To train it from scratch:
//
//   StateDict weights = RandomCodet5pWeights(config, seed);
//   for (auto& [name, weight] : weights) weight.set_requires_grad(true);
//   auto model = CreateCodet5pModel(config, weights);     // shares the weights' memory
//   ... loss.backward(); update the weights in place without gradient mode ...
//   SaveCodet5p(directory, config, weights, DataType::kFloat32);
//
// All weights must be float32 or bfloat16 (that is the compute dtype) and on one device.
// INVALID_ARGUMENT lists missing, surplus and mis-shaped tensors.
absl::StatusOr<std::shared_ptr<const LanguageModel>> CreateCodet5pModel(const Codet5pConfig& config,
                                                                        const StateDict& weights,
                                                                        std::string digest = "");

// Writes config.json and model.safetensors into an existing directory; `dtype` is that of the file.
absl::Status SaveCodet5p(const std::string& directory, const Codet5pConfig& config,
                         const StateDict& weights, DataType dtype);

}  // namespace ddpt
