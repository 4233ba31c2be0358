#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/evaluation/bootstrap.h"
#include "core/registry/evaluation_log.h"
#include "core/tuning/dataset.h"
#include "ddpt/v1/evaluation.pb.h"

namespace ddpt {

// Names of the columns of an evaluation: "nll" (nats a token of the references), then the figures
// that need no language.
std::vector<std::string> EvaluationColumns();

// What of an EvaluateRequest can be checked without data: 1..32 contenders with names of their own
// of 1..64 bytes, columns that there are, decoding, 0..100,000 replicates. A FieldError names the
// field. Pure.
absl::Status ValidateEvaluation(const v1::EvaluateRequest& request);

// The columns asked for, all where none is.
std::vector<std::string> ColumnsOf(const v1::EvaluateRequest& request);

// The table of a finished evaluation: each contender under each column, with 95 % intervals where
// there are replicates. `outcomes` has every contender and example.
std::vector<v1::EvaluateResponse::Cell> TableOf(
    const v1::EvaluateRequest& request, const Dataset& data,
    const std::map<EvaluationLog::Place, EvaluationOutcome>& outcomes);

}  // namespace ddpt
