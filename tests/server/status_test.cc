#include "server/status.h"

#include <gtest/gtest.h>

#include "absl/strings/cord.h"
#include "core/base/status.h"
#include "core/runtime/admission.h"
#include "google/rpc/error_details.pb.h"

namespace ddpt {
namespace {

google::rpc::Status DetailsOf(const grpc::Status& status) {
  google::rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  return details;
}

TEST(StatusTest, FieldBecomesBadRequest) {
  const grpc::Status status = ToGrpcStatus(FieldError("sampling.steps", "2001 is outside 1..2000"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "sampling.steps: 2001 is outside 1..2000");
  google::rpc::BadRequest bad_request;
  const auto details = DetailsOf(status);
  ASSERT_EQ(details.details_size(), 1);
  ASSERT_TRUE(details.details(0).UnpackTo(&bad_request));
  EXPECT_EQ(bad_request.field_violations(0).field(), "sampling.steps");
}

TEST(StatusTest, RetryHintBecomesRetryInfo) {
  absl::Status full = absl::ResourceExhaustedError("full");
  full.SetPayload(Piece(kRetryPayload), absl::Cord("1500"));
  google::rpc::RetryInfo info;
  ASSERT_TRUE(DetailsOf(ToGrpcStatus(full)).details(0).UnpackTo(&info));
  EXPECT_EQ(info.retry_delay().seconds(), 1);
  EXPECT_EQ(info.retry_delay().nanos(), 500'000'000);
}

TEST(StatusTest, ReasonBecomesErrorInfo) {
  const auto status = WithReason(absl::UnavailableError("x"), kReasonDraining);
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(DetailsOf(ToGrpcStatus(status)).details(0).UnpackTo(&info));
  EXPECT_EQ(info.reason(), "DRAINING");
  EXPECT_EQ(info.domain(), "ddpt");
}

TEST(StatusTest, FirstReasonStays) {
  const auto status =
      WithReason(WithReason(absl::UnavailableError("x"), kReasonDraining), kReasonNotReady);
  EXPECT_EQ(ReasonOf(status), kReasonDraining);
}

TEST(StatusTest, LongMessageIsCutBetweenCharacters) {
  std::string message(1023, 'a');
  message += "\u00e9\u00e9\u00e9";
  EXPECT_EQ(ToGrpcStatus(absl::InternalError(message)).error_message(), std::string(1023, 'a'));
}

TEST(StatusTest, InvalidUtf8IsReplaced) {
  EXPECT_EQ(ToGrpcStatus(absl::InternalError("a\xff\x01z")).error_message(), "a??z");
}

TEST(StatusTest, OkHasNothing) {
  const grpc::Status status = ToGrpcStatus(absl::OkStatus());
  EXPECT_TRUE(status.ok());
  EXPECT_TRUE(status.error_details().empty());
}

}  // namespace
}  // namespace ddpt
