#include "core/base/status.h"

#include <memory>

#include "gtest/gtest.h"

namespace ddpt {
namespace {

absl::StatusOr<std::unique_ptr<int>> MakeInt(bool works) {
  if (!works) return absl::NotFoundError("no int");
  return std::make_unique<int>(7);
}

absl::StatusOr<int> Twice(bool works) {
  DDPT_ASSIGN_OR_RETURN(const std::unique_ptr<int> value, MakeInt(works));
  return 2 * *value;
}

absl::Status Check(absl::Status status, bool* reached_end) {
  DDPT_RETURN_IF_ERROR(status);
  *reached_end = true;
  return absl::OkStatus();
}

TEST(StatusTest, FieldErrorNamesTheField) {
  const absl::Status status = FieldError("sampling.steps", "2001 is outside 1..2000");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "sampling.steps: 2001 is outside 1..2000");
  EXPECT_EQ(FieldOf(status), "sampling.steps");
}

TEST(StatusTest, OtherStatusesHaveNoField) {
  EXPECT_EQ(FieldOf(absl::OkStatus()), "");
  EXPECT_EQ(FieldOf(absl::InvalidArgumentError("x: y")), "");
}

TEST(StatusTest, TheFirstReasonStays) {
  const absl::Status status = WithReason(absl::UnavailableError("later"), "DRAINING");
  EXPECT_EQ(ReasonOf(status), "DRAINING");
  EXPECT_EQ(ReasonOf(WithReason(status, "NOT_READY")), "DRAINING");
  EXPECT_EQ(ReasonOf(absl::UnavailableError("later")), "");
}

TEST(StatusTest, AnnotateKeepsCodeAndField) {
  const absl::Status status = Annotate(FieldError("steps", "0 is too few"), "task a");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "task a: steps: 0 is too few");
  EXPECT_EQ(FieldOf(status), "steps");
  EXPECT_TRUE(Annotate(absl::OkStatus(), "task a").ok());
}

TEST(StatusTest, AssignOrReturnMovesTheValueOrLeaves) {
  EXPECT_EQ(*Twice(true), 14);
  EXPECT_EQ(Twice(false).status(), absl::NotFoundError("no int"));
}

TEST(StatusTest, ReturnIfErrorLeavesOnErrorOnly) {
  bool reached_end = false;
  EXPECT_EQ(Check(absl::AbortedError("stop"), &reached_end), absl::AbortedError("stop"));
  EXPECT_FALSE(reached_end);
  EXPECT_TRUE(Check(absl::OkStatus(), &reached_end).ok());
  EXPECT_TRUE(reached_end);
}

}  // namespace
}  // namespace ddpt
