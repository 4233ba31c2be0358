#include "core/runtime/admission.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/cord.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using testing::HasSubstr;

TEST(AdmissionTest, RefusesAtTheLimitNamingItWithAHint) {
  Admission admission({.name = "Sample requests", .limit = 2});
  const auto first = admission.Admit("a");
  const auto second = admission.Admit("b");
  const absl::Status refused = admission.Admit("c").status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(refused.message(), HasSubstr("limit of 2 Sample requests"));
  ASSERT_TRUE(RetryAfter(refused).has_value());
  EXPECT_GE(*RetryAfter(refused), milliseconds(1));
}

TEST(AdmissionTest, OneKeyCannotFillTheHouse) {
  Admission admission({.limit = 10, .limit_per_key = 1});
  const auto first = admission.Admit("python");
  const absl::Status refused = admission.Admit("python").status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(refused.message(), HasSubstr("limit of 1 requests for \"python\""));
  EXPECT_TRUE(admission.Admit("rust").ok());
}

TEST(AdmissionTest, ATicketCountsFirstAsWaitingThenAsRunningThenNot) {
  Admission admission({});
  {
    auto ticket = admission.Admit("a");
    EXPECT_EQ(admission.waiting(), 1u);
    ticket->Start();
    ticket->Start();
    EXPECT_EQ(admission.waiting(), 0u);
    EXPECT_EQ(admission.running(), 1u);
  }
  EXPECT_EQ(admission.running(), 0u);
}

TEST(AdmissionTest, AMovedTicketCountsOnce) {
  Admission admission({});
  auto admitted = admission.Admit("a");
  Admission::Ticket ticket = *std::move(admitted);
  Admission::Ticket other = std::move(ticket);
  EXPECT_EQ(admission.waiting(), 1u);
  other = Admission::Ticket();
  EXPECT_EQ(admission.waiting(), 0u);
}

TEST(AdmissionTest, AClientsLimitHoldsOverAllKeysAndLeavesOthersAlone) {
  Admission admission({.name = "requests", .limit_per_client = 2});
  auto one = admission.Admit("a", "alice");
  auto two = admission.Admit("b", "alice");
  const absl::Status refused = admission.Admit("c", "alice").status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(refused.message(), HasSubstr("the limit of 2 requests for the client \"alice\""));
  EXPECT_EQ(ReasonOf(refused), kReasonQuota);
  EXPECT_TRUE(RetryAfter(refused).has_value());
  EXPECT_TRUE(admission.Admit("c", "bob").ok());
  *one = Admission::Ticket();
  EXPECT_TRUE(admission.Admit("c", "alice").ok());
}

TEST(AdmissionTest, TheHintGrowsWithTheQueue) {
  Admission admission({.limit = 100, .limit_per_key = 1, .first_estimate = milliseconds(50)});
  const auto held = admission.Admit("hot");
  const auto short_queue = RetryAfter(admission.Admit("hot").status());
  std::vector<absl::StatusOr<Admission::Ticket>> others;
  for (int i = 0; i < 9; ++i) others.push_back(admission.Admit(std::to_string(i)));
  const auto long_queue = RetryAfter(admission.Admit("hot").status());
  EXPECT_EQ(*short_queue, milliseconds(100));
  EXPECT_EQ(*long_queue, milliseconds(550));
}

TEST(AdmissionTest, TheHintLearnsFromServedRequests) {
  Admission admission({.limit = 1, .first_estimate = seconds(10)});
  for (int i = 0; i < 100; ++i) admission.Admit("a")->Start();
  const auto held = admission.Admit("a");
  EXPECT_LT(*RetryAfter(admission.Admit("a").status()), milliseconds(100));
}

TEST(AdmissionTest, AnotherStatusCarriesNoHint) {
  EXPECT_FALSE(RetryAfter(absl::InternalError("x")).has_value());
  absl::Status odd = absl::ResourceExhaustedError("x");
  odd.SetPayload(Piece(kRetryPayload), absl::Cord("soon"));
  EXPECT_FALSE(RetryAfter(odd).has_value());
}

TEST(AdmissionTest, ClosedRefusesButKeepsThoseInside) {
  Admission admission({});
  auto inside = admission.Admit("a");
  admission.Close();
  const absl::Status refused = admission.Admit("a").status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(refused.message(), HasSubstr("draining"));
  inside->Start();
  EXPECT_EQ(admission.running(), 1u);
  EXPECT_FALSE(admission.WaitIdle(steady_clock::now()));
}

TEST(AdmissionTest, WaitIdleSeesTheLastTicketReturn) {
  Admission admission({});
  auto admitted = admission.Admit("a");
  std::thread holder([ticket = *std::move(admitted)]() mutable { ticket.Start(); });
  holder.join();
  auto second = admission.Admit("a");
  std::thread other([ticket = *std::move(second)] {});
  EXPECT_TRUE(admission.WaitIdle(steady_clock::now() + seconds(60)));
  other.join();
}

TEST(AdmissionTest, ATicketMayOutliveTheAdmission) {
  auto admission = std::make_unique<Admission>(Admission::Options{});
  auto ticket = admission->Admit("a");
  admission.reset();
  ticket->Start();
}

TEST(AdmissionTest, EightThreadsNeverExceedTheLimitAndCountExactly) {
  constexpr int kThreads = 8, kAttempts = 10'000;
  constexpr size_t kLimit = 5;
  Admission admission({.limit = kLimit});
  std::atomic<size_t> inside{0}, most{0}, admitted{0}, refused{0};
  std::latch start(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      start.arrive_and_wait();
      for (int i = 0; i < kAttempts; ++i) {
        auto ticket = admission.Admit("a");
        if (!ticket.ok()) {
          ++refused;
          continue;
        }
        ++admitted;
        const size_t now = ++inside;
        for (size_t seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
        }
        if (i % 2 == 0) ticket->Start();
        --inside;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(admitted + refused, size_t{kThreads * kAttempts});
  EXPECT_LE(most, kLimit);
  EXPECT_EQ(admission.waiting() + admission.running(), 0u);
  std::vector<absl::StatusOr<Admission::Ticket>> all;
  for (size_t i = 0; i < kLimit; ++i) all.push_back(admission.Admit("a"));
  EXPECT_TRUE(all.back().ok());
  EXPECT_FALSE(admission.Admit("a").ok());
}

}  // namespace
}  // namespace ddpt
