#include "core/base/status.h"

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace ddpt {
namespace {

std::string PayloadText(const absl::Status& status, std::string_view url) {
  const auto payload = status.GetPayload(Piece(url));
  return payload.has_value() ? std::string(*payload) : "";
}

}  // namespace

absl::Status FieldError(std::string_view field, std::string_view problem) {
  absl::Status status =
      absl::InvalidArgumentError(absl::StrCat(Piece(field), ": ", Piece(problem)));
  status.SetPayload(Piece(kFieldPayload), absl::Cord(Piece(field)));
  return status;
}

std::string FieldOf(const absl::Status& status) { return PayloadText(status, kFieldPayload); }

absl::Status WithReason(absl::Status status, std::string_view reason) {
  if (ReasonOf(status).empty()) {
    status.SetPayload(Piece(kReasonPayload), absl::Cord(Piece(reason)));
  }
  return status;
}

std::string ReasonOf(const absl::Status& status) { return PayloadText(status, kReasonPayload); }

absl::Status Annotate(const absl::Status& status, std::string_view context) {
  if (status.ok()) return status;
  absl::Status annotated(status.code(), absl::StrCat(Piece(context), ": ", status.message()));
  status.ForEachPayload([&annotated](absl::string_view url, const absl::Cord& payload) {
    annotated.SetPayload(url, payload);
  });
  return annotated;
}

}  // namespace ddpt
