#include "server/status.h"

#include <string>

#include "core/runtime/admission.h"
#include "google/rpc/error_details.pb.h"

namespace ddpt {
namespace {

constexpr size_t kMessageLimit = 1024;

// Protobuf refuses to send a string that is not UTF-8, and messages quote what callers sent.
std::string Printable(absl::string_view message) {
  std::string text(message.substr(0, kMessageLimit));
  if (text.size() < message.size()) {
    size_t end = text.size();
    while (end > 0 && (static_cast<unsigned char>(message[end]) & 0xc0) == 0x80) --end;
    text.resize(end);
  }
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 && c != '\n') c = '?';
  }
  return text;
}

bool IsUtf8(const std::string& text) {
  size_t following = 0;
  for (const unsigned char c : text) {
    if (following > 0) {
      if ((c & 0xc0) != 0x80) return false;
      --following;
    } else if (c >= 0x80) {
      following = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
      if (c < 0xc2 || c > 0xf4) return false;
    }
  }
  return following == 0;
}

std::string Message(absl::string_view message) {
  std::string text = Printable(message);
  if (IsUtf8(text)) return text;
  for (char& c : text) {
    if (static_cast<unsigned char>(c) >= 0x80) c = '?';
  }
  return text;
}

google::rpc::Status Details(const absl::Status& status, const std::string& message) {
  google::rpc::Status details;
  details.set_code(static_cast<int>(status.code()));
  details.set_message(message);
  if (const std::string field = FieldOf(status); !field.empty()) {
    google::rpc::BadRequest bad_request;
    auto& violation = *bad_request.add_field_violations();
    violation.set_field(Message(field));
    violation.set_description(message);
    details.add_details()->PackFrom(bad_request);
  }
  if (const auto retry = RetryAfter(status)) {
    google::rpc::RetryInfo info;
    info.mutable_retry_delay()->set_seconds(retry->count() / 1000);
    info.mutable_retry_delay()->set_nanos(static_cast<int>(retry->count() % 1000) * 1'000'000);
    details.add_details()->PackFrom(info);
  }
  if (const std::string reason = ReasonOf(status); !reason.empty()) {
    google::rpc::ErrorInfo info;
    info.set_reason(reason);
    info.set_domain("ddpt");
    details.add_details()->PackFrom(info);
  }
  return details;
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const std::string message = Message(status.message());
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), message,
                      Details(status, message).SerializeAsString());
}

}  // namespace ddpt
