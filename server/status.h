#pragma once

#include <grpcpp/support/status.h>

#include <string_view>

#include "absl/status/status.h"

namespace ddpt {

// Type URL of the payload with the UPPER_SNAKE_CASE reason of an error, which clients and metrics
// can tell apart where the code alone does not say enough.
inline constexpr std::string_view kReasonPayload = "type.ddpt/reason";

inline constexpr std::string_view kReasonQueueFull = "QUEUE_FULL";
inline constexpr std::string_view kReasonDraining = "DRAINING";
inline constexpr std::string_view kReasonExpired = "DEADLINE_BEFORE_START";
inline constexpr std::string_view kReasonTooLarge = "TOO_LARGE";
inline constexpr std::string_view kReasonNotReady = "NOT_READY";

// The status with a reason; one that it already has stays.
absl::Status WithReason(absl::Status status, std::string_view reason);
// "" where there is none.
std::string ReasonOf(const absl::Status& status);

// The status as gRPC sends it: the same code, the message (cut at 1,024 bytes, between characters,
// invalid UTF-8 replaced), and as details google.rpc.BadRequest for the field, RetryInfo for the
// retry hint of Admission, ErrorInfo (domain "ddpt") for the reason.
grpc::Status ToGrpcStatus(const absl::Status& status);

}  // namespace ddpt
