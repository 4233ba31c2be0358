#pragma once

#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/tensor.h"
#include "core/diffusion/denoiser_spec.h"
#include "core/diffusion/sampling.h"
#include "core/tuning/dataset.h"
#include "ddpt/v1/example.pb.h"
#include "ddpt/v1/prompt.pb.h"
#include "ddpt/v1/tensor.pb.h"
#include "server/condition.h"

namespace ddpt {

// Between messages and the structs of core. Enumerations must be known values
// (validate.h); UNSPECIFIED becomes what the message says is its default.

DataType FromProto(v1::DataType dtype);
v1::DataType ToProto(DataType dtype);
v1::Sampler ToProto(Sampler sampler);
v1::Reading ToProto(Reading reading);
Reading FromProto(v1::Reading reading);

// Defaults for a denoiser: its reading's sampler, 2000 steps or train_steps if that is less, eta 0,
// guidance 1. FieldErrors of ValidateSampling, and where a number does not fit its type.
absl::StatusOr<SamplingOptions> FromProto(const v1::SamplingOptions& sampling,
                                          const DenoiserSpec& spec);

// Checked against `expected` before anything is allocated; errors name `field`. No element may lie
// outside -10,000..10,000.
absl::StatusOr<Tensor> FromProto(const v1::Tensor& tensor, std::string_view field,
                                 std::span<const int64_t> expected);
void ToProto(const Tensor& tensor, DataType dtype, v1::Tensor* out);

// Of any request that has an instruction_input.
template <typename Request>
Instruction InstructionOf(const Request& request) {
  const auto& ids = request.instruction_ids().ids();
  return {.text = request.instruction(),
          .ids = {ids.begin(), ids.end()},
          .has_ids = request.has_instruction_ids()};
}

std::vector<TrainingExample> FromProto(const v1::Examples& examples);

// For requests that bring no seed; not a function of anything.
uint64_t RandomSeed();

}  // namespace ddpt
