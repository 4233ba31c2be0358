#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/evaluation/bootstrap.h"
#include "core/registry/evaluation_log.h"
#include "core/tuning/dataset.h"
#include "ddpt/v1/evaluation.pb.h"

namespace ddpt {

// What of an EvaluateRequest can be checked without data: 1..32 contenders with names of their own
// of 1..64 bytes, a language that is known or none, columns that there are then, decoding,
// 0..100,000 replicates. A FieldError names the field. Pure.
absl::Status ValidateEvaluation(const v1::EvaluateRequest& request);

// The table of a finished evaluation: each contender under each column that was asked for, with
// 95 % intervals where there are replicates. Where none was: "nll" (nats a token of the
// references), the figures that need no language, and with one those that do. `outcomes` has every
// contender and example. A FieldError where an answer cannot be parsed, and the error of `stop`.
// Blocks: minutes for the largest data under the most replicates.
absl::StatusOr<std::vector<v1::EvaluateResponse::Cell>> TableOf(
    const v1::EvaluateRequest& request, const Dataset& data,
    const std::map<EvaluationLog::Place, EvaluationOutcome>& outcomes, const StopToken& stop);

}  // namespace ddpt
