#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <thread>

#include "client/status.h"
#include "core/base/status.h"
#include "core/runtime/admission.h"
#include "tests/integration/server_fixture.h"

namespace ddpt {
namespace {

using std::chrono::milliseconds;

const std::vector<std::string> kSample = {"rpc=\"Sample\""};

class ConcurrencyTest : public testing::Test {
 protected:
  void Start(Config config) {
    server_ = std::make_unique<TestServer>(std::move(config));
    ASSERT_TRUE(server_->Import("small", DenoiserFile(SmallSpec(), 1)).ok());
    ASSERT_TRUE(server_->Import("slow", DenoiserFile(SlowSpec(), 1)).ok());
  }

  TemporaryDirectory directory_;
  std::unique_ptr<TestServer> server_;
};

TEST_F(ConcurrencyTest, SameBytesAloneAndAmongOthers) {
  Config config = TestConfig(directory_.path());
  config.threads = 2;
  Start(config);
  constexpr uint64_t kClients = 32;
  std::vector<std::string> alone, among(kClients);
  for (uint64_t seed = 0; seed < kClients; ++seed) {
    alone.push_back(server_->Sample(SampleOf("slow", seed))->prompts(0).embedding().data());
  }
  std::vector<std::thread> clients;
  std::atomic<uint32_t> widest{0};
  for (uint64_t seed = 0; seed < kClients; ++seed) {
    clients.emplace_back([&, seed] {
      const auto response = server_->Sample(SampleOf("slow", seed));
      if (!response.ok()) return;
      among[seed] = response->prompts(0).embedding().data();
      widest = std::max(widest.load(), response->receipt().batch_width());
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(alone, among);
  EXPECT_GT(widest, 1u);
}

TEST_F(ConcurrencyTest, FullQueueIsRefusedWithARetryHint) {
  Config config = TestConfig(directory_.path());
  config.sample_limit = 2;
  config.batch_capacity = 1;  // a draw of many rows would keep the second waiting for long
  Start(config);
  LongSample first(*server_);
  LongSample second(*server_);
  const auto status = server_->Sample(SampleOf("small", 1)).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_NE(status.message().find("limit of 2"), status.message().npos) << status;
  EXPECT_TRUE(RetryAfter(status).has_value());
  EXPECT_EQ(ReasonOf(status), "QUEUE_FULL");
  EXPECT_EQ(server_->Metric("ddpt_requests_rejected_total", {"reason=\"queue_full\""}), 1);
}

TEST_F(ConcurrencyTest, OneTaskDoesNotFillTheHouse) {
  Config config = TestConfig(directory_.path());
  config.sample_limit_per_task = 1;
  Start(config);
  LongSample running(*server_);
  EXPECT_TRUE(absl::IsResourceExhausted(server_->Sample(SampleOf("slow", 1)).status()));
  EXPECT_TRUE(server_->Sample(SampleOf("small", 1)).ok());
}

TEST_F(ConcurrencyTest, ExpiredInTheQueueNeverRuns) {
  Config config = TestConfig(directory_.path());
  config.batch_capacity = 1;
  Start(config);
  // Draws take turns for the one slot: the third request has to wait for a whole draw of another.
  LongSample first(*server_);
  LongSample second(*server_);
  const double started = server_->Metric("ddpt_request_queue_seconds_count", kSample);
  auto request = SampleOf("slow", 2);
  request.mutable_sampling()->set_steps(10);
  const auto status = server_->Sample(request, milliseconds(1)).status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  server_->AwaitMetric("ddpt_requests_waiting", kSample, 0);
  EXPECT_EQ(server_->Metric("ddpt_request_queue_seconds_count", kSample), started);
}

TEST_F(ConcurrencyTest, DeadlineEndsASampleUnderWay) {
  Start(TestConfig(directory_.path()));
  auto request = SampleOf("slow", 1, 1000);
  request.mutable_sampling()->set_full_space_noise(true);
  const auto status = server_->Sample(request, milliseconds(100)).status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  server_->AwaitMetric("ddpt_requests_running", kSample, 0);
  server_->AwaitMetric("ddpt_requests_total", {"rpc=\"Sample\"", "outcome=\"deadline\""}, 1);
  EXPECT_EQ(server_->Metric("ddpt_sample_duration_seconds_count"), 0);
}

TEST_F(ConcurrencyTest, AJobThatCannotMeetItsDeadlineIsRefusedAtOnce) {
  Start(TestConfig(directory_.path()));
  auto loading = SampleOf("slow", 1);
  loading.mutable_sampling()->set_steps(1);
  ASSERT_TRUE(server_->Sample(loading).ok());
  server_->AwaitMetric("ddpt_request_queue_seconds_count", kSample, 1);
  const auto status = server_->Sample(MinutesOfSampling(), milliseconds(500)).status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  EXPECT_EQ(ReasonOf(status), "DEADLINE_BEFORE_START");
  EXPECT_NE(status.message().find("10000 steps of 1000 prompts"), status.message().npos) << status;
  EXPECT_EQ(server_->Metric("ddpt_requests_rejected_total", {"reason=\"deadline\""}), 1);
  EXPECT_EQ(server_->Metric("ddpt_request_queue_seconds_count", kSample), 1);
}

TEST_F(ConcurrencyTest, AnytimeTakesTheStepsThatFit) {
  Start(TestConfig(directory_.path()));
  auto request = SampleOf("slow", 1, 512);
  request.mutable_sampling()->set_steps(100);
  // Other work may share the machine: the server learns how much.
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(server_->Sample(request).ok());
  request.mutable_sampling()->set_steps(10'000);
  request.mutable_sampling()->set_anytime(true);
  const auto response = server_->Sample(request, milliseconds(2000));
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_GE(response->receipt().steps(), 1u);
  EXPECT_LT(response->receipt().steps(), 10'000u);
  v1::ReplayRequest replay;
  replay.set_prompt_id(response->prompts(511).prompt_id());
  const auto again = server_->Replay(replay);
  EXPECT_EQ(again->receipt().steps(), response->receipt().steps());
  EXPECT_TRUE(again->prompts(0).exact_replay());
}

TEST_F(ConcurrencyTest, AnytimeTakesAllStepsWhereThereIsTime) {
  Start(TestConfig(directory_.path()));
  auto request = SampleOf("small", 1);
  request.mutable_sampling()->set_anytime(true);
  EXPECT_EQ(server_->Sample(request)->receipt().steps(), 100u);
}

TEST_F(ConcurrencyTest, CancelFreesTheRoomOfASample) {
  Config config = TestConfig(directory_.path());
  config.batch_capacity = 1;
  config.sample_limit = 1;
  Start(config);
  {
    LongSample sampling(*server_);
    EXPECT_TRUE(absl::IsCancelled(sampling.Cancel()));
  }
  server_->AwaitMetric("ddpt_requests_running", kSample, 0);
  server_->AwaitMetric("ddpt_cancel_latency_seconds_count", {}, 1);
  server_->AwaitMetric("ddpt_requests_total", {"rpc=\"Sample\"", "outcome=\"cancelled\""}, 1);
  EXPECT_EQ(server_->Metric("ddpt_sample_duration_seconds_count"), 0);
  // The room is given back a moment after the call was counted.
  const auto end = std::chrono::steady_clock::now() + TestServer::kTimeout;
  auto next = server_->Sample(SampleOf("slow", 1));
  while (absl::IsResourceExhausted(next.status()) && std::chrono::steady_clock::now() < end) {
    next = server_->Sample(SampleOf("slow", 1));
  }
  EXPECT_TRUE(next.ok()) << next.status();
}

TEST_F(ConcurrencyTest, CancelAtRandomMomentsLeavesNothingBehind) {
  Start(TestConfig(directory_.path()));
  for (uint64_t round = 0; round < 60; ++round) {
    grpc::ClientContext context;
    v1::SampleResponse response;
    const auto request = SampleOf("slow", round, 2);
    std::thread caller(
        [&] { static_cast<void>(server_->prompts().Sample(&context, request, &response)); });
    Spin(std::chrono::microseconds(100 * round));
    context.TryCancel();
    caller.join();
  }
  server_->AwaitMetric("ddpt_requests_running", {}, 0);
  server_->AwaitMetric("ddpt_requests_waiting", {}, 0);
  EXPECT_TRUE(server_->Sample(SampleOf("small", 1)).ok());
}

TEST_F(ConcurrencyTest, RequestsInFlightFinishOnTheirVersion) {
  Start(TestConfig(directory_.path()));
  const std::string expected = server_->Sample(SampleOf("slow", 5, 8))->SerializeAsString();
  v1::SampleResponse response;
  std::thread caller([&] { response = server_->Sample(SampleOf("slow", 5, 8)).value(); });
  server_->AwaitMetric("ddpt_requests_running", kSample, 1);
  ASSERT_TRUE(server_->Import("slow", DenoiserFile(SlowSpec(), 2)).ok());
  caller.join();
  EXPECT_EQ(response.receipt().version(), 1u);
  v1::SampleResponse before;
  before.ParseFromString(expected);
  EXPECT_EQ(response.prompts(7).embedding().data(), before.prompts(7).embedding().data());
}

}  // namespace
}  // namespace ddpt
