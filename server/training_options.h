#pragma once

#include "absl/status/statusor.h"
#include "core/base/tensor.h"
#include "core/tuning/options.h"
#include "ddpt/v1/training.pb.h"

namespace ddpt {

// From requests to what core takes. Pure; FieldErrors name the field, its value and the limit.

// How a request wants its prompt tuned, defaults filled in. Refuses options that do not go with the
// method or with one another.
absl::StatusOr<TuningOptions> TuningOptionsOf(const v1::TrainRequest& request);

// The prompt [n, w] to start from, or a tensor without elements where none is given. Whether w is
// the model's is left to others.
absl::StatusOr<Tensor> StartPromptOf(const v1::TrainRequest& request);

}  // namespace ddpt
