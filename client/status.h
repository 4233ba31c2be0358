#pragma once

#include "absl/status/status.h"

namespace grpc {
class Status;
}

namespace ddpt {

// The same code and message. The standard details that came with it become payloads: the first
// field violation kFieldPayload (see FieldOf), RetryInfo kRetryPayload (see RetryAfter),
// ErrorInfo's reason kReasonPayload (see ReasonOf), e.g. "QUEUE_FULL". Details that cannot be read
// are left out. Pure.
absl::Status FromGrpcStatus(const grpc::Status& status);

}  // namespace ddpt
