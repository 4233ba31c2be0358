#include <gmock/gmock.h>

#include <string>

#include "client/status.h"
#include "core/base/status.h"
#include "ddpt/v1/training.grpc.pb.h"
#include "tests/integration/code_fixture.h"

namespace ddpt {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

// Callers who keep a call waiting.
class CallerTimeoutTest : public CodeTest {
 protected:
  CallerTimeoutTest() {
    Start([](Config& config) { config.caller_timeout = milliseconds(1000); });
  }

  // A connection with a window of a byte, so that messages wait in the server and not on their way.
  std::shared_ptr<grpc::Channel> NarrowChannel() {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 1);
    return grpc::CreateCustomChannel(server_->server().address(),
                                     grpc::InsecureChannelCredentials(), arguments);
  }

  void ExpectCutOff(const grpc::Status& ended) {
    const absl::Status status = FromGrpcStatus(ended);
    EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("caller-timeout"));
    server_->AwaitMetric("ddpt_callers_cut_off_total", {}, 1);
    server_->AwaitMetric("ddpt_requests_running", {}, 0);
  }
};

TEST_F(CallerTimeoutTest, AStreamThatNobodyReadsIsEnded) {
  const auto code = v1::CodeService::NewStub(NarrowChannel());
  grpc::ClientContext context;
  SetTimeout(context, TestServer::kTimeout);
  const auto reader = code->Generate(&context, LongRequest());
  server_->AwaitMetric("ddpt_callers_cut_off_total", {}, 1);
  v1::GenerateResponse message;
  while (reader->Read(&message)) continue;
  ExpectCutOff(reader->Finish());
  server_->AwaitMetric("ddpt_kv_cache_usage_ratio", {}, 0);
}

TEST_F(CallerTimeoutTest, AnAnswerThatNobodyTakesIsDropped) {
  const auto code = v1::CodeService::NewStub(NarrowChannel());
  grpc::ClientContext context;
  SetTimeout(context, TestServer::kTimeout);
  const auto reader = code->Generate(&context, Request(4));
  server_->AwaitMetric("ddpt_callers_cut_off_total", {}, 1);
  EXPECT_EQ(server_->Metric("ddpt_generation_tokens_total"), 4);
  v1::GenerateResponse message;
  while (reader->Read(&message)) continue;
  ExpectCutOff(reader->Finish());
}

TEST_F(CallerTimeoutTest, AnUploadThatStopsIsEnded) {
  const auto training = v1::TrainingService::NewStub(server_->channel());
  grpc::ClientContext context;
  SetTimeout(context, TestServer::kTimeout);
  v1::Dataset dataset;
  const auto writer = training->UploadDataset(&context, &dataset);
  v1::DataChunk header;
  header.mutable_header()->set_format(v1::DATA_FORMAT_JSONL);
  ASSERT_TRUE(writer->Write(header));
  ExpectCutOff(writer->Finish());
}

TEST_F(CallerTimeoutTest, OneThatOnlyWaitsForTheServerIsNot) {
  ASSERT_TRUE(server_->Import("slow", DenoiserFile(SlowSpec(), 1)).ok());
  LongSample running(*server_);
  Spin(milliseconds(1500));
  EXPECT_EQ(server_->Metric("ddpt_callers_cut_off_total"), 0);
  EXPECT_TRUE(absl::IsCancelled(running.Cancel()));
}

TEST_F(CallerTimeoutTest, CallsWhoseAnswersNobodyTakesCount) {
  Start([](Config& config) {
    config.caller_timeout = std::chrono::hours(1);
    config.generate_limit = 8;
    config.sample_limit = config.sample_limit_per_task = config.control_limit = 1;
  });
  const int tokens = Generate(Request(8)).Choice().token_ids().ids_size();
  const auto code = v1::CodeService::NewStub(NarrowChannel());
  // As many as all doors let in together: 256 of them are for watchers.
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientReader<v1::GenerateResponse>>> untaken;
  for (int i = 0; i < 8 + 1 + 1 + 256; ++i) {
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    untaken.push_back(code->Generate(contexts.back().get(), Request(8)));
    server_->AwaitMetric("ddpt_generation_tokens_total", {}, (i + 2) * tokens);
  }
  const absl::Status status = Generate(Request(8)).status;
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("have not been taken"));
  for (const auto& context : contexts) context->TryCancel();
}

}  // namespace
}  // namespace ddpt
