#include "client/status.h"

#include <gtest/gtest.h>

#include "core/base/status.h"
#include "core/runtime/admission.h"
#include "tests/client/fake_server.h"

namespace ddpt {
namespace {

TEST(FromGrpcStatusTest, KeepsCodeAndMessage) {
  const absl::Status status = FromGrpcStatus({grpc::StatusCode::NOT_FOUND, "no task \"x\""});
  EXPECT_EQ(status, absl::NotFoundError("no task \"x\""));
}

TEST(FromGrpcStatusTest, NamesTheFieldOfABadRequest) {
  google::rpc::BadRequest detail;
  detail.add_field_violations()->set_field("sampling.steps");
  EXPECT_EQ(
      FieldOf(FromGrpcStatus(StatusWith(grpc::StatusCode::INVALID_ARGUMENT, "too many", detail))),
      "sampling.steps");
}

TEST(FromGrpcStatusTest, KeepsTheRetryDelay) {
  google::rpc::RetryInfo detail;
  detail.mutable_retry_delay()->set_seconds(2);
  detail.mutable_retry_delay()->set_nanos(500'000'000);
  EXPECT_EQ(
      RetryAfter(FromGrpcStatus(StatusWith(grpc::StatusCode::RESOURCE_EXHAUSTED, "full", detail))),
      std::chrono::milliseconds(2500));
}

TEST(FromGrpcStatusTest, KeepsTheReason) {
  google::rpc::ErrorInfo detail;
  detail.set_reason("QUEUE_FULL");
  EXPECT_EQ(
      ReasonOf(FromGrpcStatus(StatusWith(grpc::StatusCode::RESOURCE_EXHAUSTED, "full", detail))),
      "QUEUE_FULL");
}

TEST(FromGrpcStatusTest, LeavesUnreadableDetailsOut) {
  const absl::Status status =
      FromGrpcStatus({grpc::StatusCode::INTERNAL, "broken", "\xff\xff\xff"});
  EXPECT_EQ(status, absl::InternalError("broken"));
}

}  // namespace
}  // namespace ddpt
