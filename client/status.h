#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace grpc {
class Status;
}

namespace ddpt {

// The same code and message. The standard details that came with it become payloads: the first
// field violation kFieldPayload (see FieldOf), RetryInfo kRetryPayload (see RetryAfter),
// ErrorInfo's reason the one that ErrorReason reads. Details that cannot be read are left out.
// Pure.
absl::Status FromGrpcStatus(const grpc::Status& status);

// The machine-readable reason of a status from the server, e.g. "QUEUE_FULL", or "".
std::string ErrorReason(const absl::Status& status);

}  // namespace ddpt
