#include "client/status.h"

#include <grpcpp/support/status.h>

#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/runtime/admission.h"
#include "google/rpc/error_details.pb.h"

namespace ddpt {
namespace {

void AddDetail(const google::protobuf::Any& detail, absl::Status& status) {
  google::rpc::BadRequest bad_request;
  google::rpc::RetryInfo retry;
  google::rpc::ErrorInfo info;
  if (detail.UnpackTo(&bad_request) && bad_request.field_violations_size() > 0) {
    status.SetPayload(Piece(kFieldPayload), absl::Cord(bad_request.field_violations(0).field()));
  } else if (detail.UnpackTo(&retry)) {
    const auto& delay = retry.retry_delay();
    const int64_t milliseconds = delay.seconds() * 1000 + delay.nanos() / 1'000'000;
    status.SetPayload(Piece(kRetryPayload), absl::Cord(absl::StrCat(milliseconds)));
  } else if (detail.UnpackTo(&info)) {
    status = WithReason(std::move(status), info.reason());
  }
}

}  // namespace

absl::Status FromGrpcStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  google::rpc::Status details;
  if (details.ParseFromString(status.error_details())) {
    for (const google::protobuf::Any& detail : details.details()) AddDetail(detail, result);
  }
  return result;
}

}  // namespace ddpt
