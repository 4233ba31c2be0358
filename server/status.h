#pragma once

#include <grpcpp/support/status.h>

#include <string_view>

#include "absl/status/status.h"
#include "core/base/status.h"

namespace ddpt {

// The reasons (WithReason) of the server's refusals.
inline constexpr std::string_view kReasonQueueFull = "QUEUE_FULL";
inline constexpr std::string_view kReasonDraining = "DRAINING";
inline constexpr std::string_view kReasonExpired = "DEADLINE_BEFORE_START";
inline constexpr std::string_view kReasonTooLarge = "TOO_LARGE";
inline constexpr std::string_view kReasonNotReady = "NOT_READY";

// The status as gRPC sends it: the same code, the message (cut at 1,024 bytes, between characters,
// invalid UTF-8 replaced), and as details google.rpc.BadRequest for the field, RetryInfo for the
// retry hint of Admission, ErrorInfo (domain "ddpt") for the reason.
grpc::Status ToGrpcStatus(const absl::Status& status);

}  // namespace ddpt
