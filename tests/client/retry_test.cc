#include "client/retry.h"

#include <gtest/gtest.h>

#include "absl/strings/cord.h"
#include "core/base/status.h"
#include "core/runtime/admission.h"

namespace ddpt {
namespace {

using std::chrono::milliseconds;
const auto kNever = std::chrono::steady_clock::time_point::max();

absl::Status WithHint(const char* milliseconds) {
  absl::Status status = absl::UnavailableError("draining");
  status.SetPayload(Piece(kRetryPayload), absl::Cord(milliseconds));
  return status;
}

TEST(BackoffTest, DoublesUpToItsMaximum) {
  const RetryPolicy policy{
      .max_attempts = 9, .initial_backoff = milliseconds(100), .max_backoff = milliseconds(500)};
  const absl::Status status = absl::UnavailableError("");
  EXPECT_EQ(Backoff(policy, 1, status, 1.0), milliseconds(100));
  EXPECT_EQ(Backoff(policy, 2, status, 1.0), milliseconds(200));
  EXPECT_EQ(Backoff(policy, 4, status, 1.0), milliseconds(500));
  EXPECT_EQ(Backoff(policy, 1'000'000, status, 1.0), milliseconds(500));
}

TEST(BackoffTest, IsJittered) {
  EXPECT_EQ(Backoff(RetryPolicy(), 1, absl::UnavailableError(""), 0.25), milliseconds(25));
}

TEST(BackoffTest, WaitsAtLeastAsLongAsTheServerAsks) {
  EXPECT_EQ(Backoff(RetryPolicy(), 1, WithHint("3000"), 0.5), milliseconds(3050));
}

TEST(RetryTest, DoesNotBeginAfterTheDeadline) {
  int calls = 0;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::hours(1);
  const absl::Status status = Retry(
      RetryPolicy(), deadline, [] { return true; },
      [&] {
        ++calls;
        return WithHint("36000000");
      });
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_EQ(calls, 1);
}

TEST(RetryTest, AsksBeforeEachRepetition) {
  int calls = 0;
  const RetryPolicy policy{
      .max_attempts = 9, .initial_backoff = milliseconds(1), .max_backoff = milliseconds(1)};
  const absl::Status status = Retry(
      policy, kNever, [&] { return calls < 2; },
      [&] {
        ++calls;
        return absl::UnavailableError("");
      });
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_EQ(calls, 2);
}

}  // namespace
}  // namespace ddpt
