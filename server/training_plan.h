#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/tuning/dataset.h"
#include "core/tuning/options.h"
#include "ddpt/v1/training.pb.h"
#include "server/training_work.h"

namespace ddpt {

// From requests to what core takes. Pure.

// All that can be said of a request without its data: operation_id, task, method, options, that
// there is exactly one source of data. FieldErrors.
absl::Status ValidateTrain(const v1::TrainRequest& request);

// FieldError of "data_format.format" for an unknown value.
absl::StatusOr<DatasetFormat> FromProto(const v1::DataChunk::Header& header);

// What a job does. The request has passed ValidateTrain and names its data by digests.
absl::StatusOr<TrainingPlan> PlanOf(const v1::TrainRequest& request);

// The path of the first field, in the order of the contract, in which two requests differ;
// "" where they are equal. Where one of them leaves a field out, a default is a difference.
std::string FirstDifference(const v1::TrainRequest& left, const v1::TrainRequest& right);

}  // namespace ddpt
