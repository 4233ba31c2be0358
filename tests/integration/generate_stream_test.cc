#include <gmock/gmock.h>

#include <random>
#include <thread>

#include "core/base/status.h"
#include "core/runtime/admission.h"
#include "tests/integration/code_fixture.h"

namespace ddpt {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

const std::vector<std::string> kGenerate = {"rpc=\"Generate\""};

class GenerateStreamTest : public CodeTest {
 protected:
  void AwaitNothingLeft() {
    server_->AwaitMetric("ddpt_requests_running", {}, 0);
    server_->AwaitMetric("ddpt_requests_waiting", {}, 0);
    server_->AwaitMetric("ddpt_kv_cache_usage_ratio", {}, 0);
    server_->AwaitMetric("ddpt_kv_cache_reserved_ratio", {}, 0);
  }
  void AwaitOutcome(const std::string& outcome) {
    server_->AwaitMetric("ddpt_requests_total", {kGenerate[0], "outcome=\"" + outcome + "\""}, 1);
  }
  static v1::GenerateRequest OneLongChoice() {
    v1::GenerateRequest request = LongRequest();
    request.mutable_decoding()->set_n(1);
    return request;
  }
};

TEST_F(GenerateStreamTest, CancelAtRandomMomentsLeavesNothingBehind) {
  std::mt19937 random(1);
  for (uint64_t round = 0; round < 200; ++round) {
    grpc::ClientContext context;
    const auto reader = code_->Generate(&context, LongRequest());
    v1::GenerateResponse message;
    for (uint64_t i = 0; i < round % 8; ++i) reader->Read(&message);
    Spin(std::chrono::microseconds(random() % 4000));
    context.TryCancel();
    while (reader->Read(&message)) continue;
    EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  AwaitNothingLeft();
  EXPECT_TRUE(Generate(Request(5)).status.ok());
}

TEST_F(GenerateStreamTest, ReaderWhoIsTooSlowIsToldSo) {
  Start([](Config& config) { config.stream_buffer_bytes = 4096; });
  // A window of a byte, so that messages wait in the server and not on their way.
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 1);
  const auto code = v1::CodeService::NewStub(grpc::CreateCustomChannel(
      server_->server().address(), grpc::InsecureChannelCredentials(), arguments));
  OpenStream stream(*code, LongRequest());
  server_->AwaitMetric("ddpt_stream_stalled_total", {}, 1);
  const absl::Status status = stream.Finish().status;
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_EQ(ReasonOf(status), "SLOW_READER");
  AwaitNothingLeft();
}

TEST_F(GenerateStreamTest, ReaderWhoIsGoneLeavesNothingBehind) {
  auto channel = grpc::CreateCustomChannel(server_->server().address(),
                                           grpc::InsecureChannelCredentials(), {});
  auto code = v1::CodeService::NewStub(channel);
  auto stream = std::make_unique<OpenStream>(*code, LongRequest());
  stream.reset();
  code.reset();
  channel.reset();
  AwaitOutcome("cancelled");
  AwaitNothingLeft();
  EXPECT_TRUE(Generate(Request(5)).status.ok());
}

TEST_F(GenerateStreamTest, ExpiredInTheQueueNeverRuns) {
  Start([](Config& config) { config.generate_batch = 1; });
  OpenStream running(*code_, OneLongChoice());
  const absl::Status status = Generate(Request(5), milliseconds(1)).status;
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  server_->AwaitMetric("ddpt_requests_waiting", kGenerate, 0);
  EXPECT_EQ(server_->Metric("ddpt_request_queue_seconds_count", kGenerate), 1);
  running.context().TryCancel();
}

TEST_F(GenerateStreamTest, DeadlineEndsAStreamUnderWay) {
  const absl::Status status = Generate(LongRequest(), milliseconds(300)).status;
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  AwaitOutcome("deadline");
  server_->AwaitMetric("ddpt_cancel_latency_seconds_count", {}, 1);
  AwaitNothingLeft();
}

TEST_F(GenerateStreamTest, MemoryIsInUseWhileAStreamRuns) {
  Start([](Config& config) { config.kv_cache_bytes = size_t{4} << 20; });
  OpenStream running(*code_, OneLongChoice());
  EXPECT_GT(server_->Metric("ddpt_kv_cache_usage_ratio"), 0);
  EXPECT_LE(server_->Metric("ddpt_kv_cache_usage_ratio"), 1);
  EXPECT_GT(server_->Metric("ddpt_kv_cache_reserved_ratio"), 0.5);
  EXPECT_LE(server_->Metric("ddpt_kv_cache_reserved_ratio"), 1);
  running.context().TryCancel();
  AwaitNothingLeft();
}

TEST_F(GenerateStreamTest, ARequestWaitsForMemory) {
  Start([](Config& config) { config.kv_cache_bytes = size_t{4} << 20; });
  OpenStream running(*code_, OneLongChoice());
  grpc::ClientContext context;
  const auto waiting = code_->Generate(&context, OneLongChoice());
  server_->AwaitMetric("ddpt_requests_waiting", kGenerate, 1);
  EXPECT_EQ(server_->Metric("ddpt_requests_running", kGenerate), 1);
  running.context().TryCancel();
  v1::GenerateResponse message;
  EXPECT_TRUE(waiting->Read(&message));
  context.TryCancel();
  AwaitNothingLeft();
}

TEST_F(GenerateStreamTest, WhatNeverFitsIntoMemoryIsRefusedAtOnce) {
  Start([](Config& config) { config.kv_cache_bytes = size_t{1} << 20; });
  const absl::Status status = Generate(LongRequest()).status;
  ExpectRefused(status, "decoding.max_new_tokens", "kv-cache-bytes");
  EXPECT_EQ(ReasonOf(status), "TOO_LARGE");
  server_->AwaitMetric("ddpt_requests_rejected_total", {"reason=\"too_large\""}, 1);
  EXPECT_TRUE(Generate(Request(5)).status.ok());
  AwaitNothingLeft();
}

TEST_F(GenerateStreamTest, FullQueueIsRefusedWithARetryHint) {
  Start([](Config& config) { config.generate_limit = 1; });
  OpenStream running(*code_, LongRequest());
  const absl::Status status = Generate(Request(5)).status;
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_TRUE(RetryAfter(status).has_value());
  EXPECT_EQ(ReasonOf(status), "QUEUE_FULL");
  running.context().TryCancel();
}

TEST_F(GenerateStreamTest, DrainLetsAStreamFinish) {
  OpenStream running(*code_, Request(500));
  std::thread stopper(
      [&] { server_->server().Shutdown(steady_clock::now() + TestServer::kTimeout); });
  const Generated generated = running.Finish();
  stopper.join();
  EXPECT_TRUE(generated.status.ok()) << generated.status;
  EXPECT_EQ(generated.Choice().token_ids().ids_size(), 500);
}

TEST_F(GenerateStreamTest, WhatTheDrainLeavesIsToldUnavailable) {
  OpenStream running(*code_, LongRequest());
  std::thread stopper([&] { server_->server().Shutdown(steady_clock::now()); });
  const absl::Status status = running.Finish().status;
  stopper.join();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
}

}  // namespace
}  // namespace ddpt
