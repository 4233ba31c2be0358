#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/escaping.h"
#include "core/base/trace_context.h"
#include "tests/fakes/span_collector.h"
#include "tests/integration/code_fixture.h"
#include "tests/integration/training_fixture.h"

namespace ddpt {
namespace {

using std::chrono::steady_clock;
using testing::ElementsAre;

constexpr char kTraceparent[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
constexpr char kTraceId[] = "0af7651916cd43dd8448eb211c80319c";
constexpr char kCallersSpan[] = "b7ad6b7169203331";

// A server whose spans go to a collector.
class TraceTest : public CodeTest {
 protected:
  TraceTest() {
    Start([this](Config& config) { config.otlp_endpoint = collector_.address; });
  }

  // Ends the server: what it has recorded.
  std::vector<SpanCollector::Span> Finish() {
    server_->server().Shutdown(steady_clock::now() + TestServer::kTimeout);
    return collector_.spans();
  }

  // The one span of the name in the trace of kTraceparent.
  static SpanCollector::Span Find(const std::vector<SpanCollector::Span>& spans,
                                  const std::string& name) {
    SpanCollector::Span found;
    for (const auto& span : spans) {
      if (span.name() == name && absl::BytesToHexString(span.trace_id()) == kTraceId) found = span;
    }
    EXPECT_EQ(found.name(), name);
    return found;
  }

  // The names of the spans below `parent`, by their beginnings, which lie within it.
  static std::vector<std::string> Below(const std::vector<SpanCollector::Span>& spans,
                                        const SpanCollector::Span& parent) {
    std::vector<SpanCollector::Span> below;
    for (const auto& span : spans) {
      if (span.parent_span_id() != parent.span_id()) continue;
      EXPECT_EQ(span.trace_id(), parent.trace_id());
      EXPECT_EQ(span.kind(), SpanCollector::Span::KIND_INTERNAL);
      EXPECT_LE(span.start_time_unix_nano(), span.end_time_unix_nano());
      EXPECT_GE(span.start_time_unix_nano(), parent.start_time_unix_nano());
      EXPECT_LE(span.start_time_unix_nano(), parent.end_time_unix_nano());
      below.push_back(span);
    }
    std::stable_sort(below.begin(), below.end(), [](const auto& a, const auto& b) {
      return a.start_time_unix_nano() < b.start_time_unix_nano();
    });
    std::vector<std::string> names;
    for (const auto& span : below) names.push_back(span.name());
    return names;
  }

  void Sample(const std::vector<std::string>& traceparents) {
    grpc::ClientContext context;
    SetTimeout(context, TestServer::kTimeout);
    for (const std::string& header : traceparents) context.AddMetadata("traceparent", header);
    v1::SampleResponse response;
    ASSERT_TRUE(server_->prompts().Sample(&context, SampleOf("small", 1), &response).ok());
  }

  SpanCollector collector_;
};

TEST_F(TraceTest, OfASample) {
  Sample({kTraceparent});
  const auto spans = Finish();
  const auto call = Find(spans, "ddpt.v1.PromptService/Sample");
  EXPECT_EQ(absl::BytesToHexString(call.parent_span_id()), kCallersSpan);
  EXPECT_EQ(call.kind(), SpanCollector::Span::KIND_SERVER);
  auto attributes = AttributesOf(call.attributes());
  EXPECT_EQ(attributes["rpc.system"], "grpc");
  EXPECT_EQ(attributes["rpc.service"], "ddpt.v1.PromptService");
  EXPECT_EQ(attributes["rpc.method"], "Sample");
  EXPECT_EQ(attributes["rpc.grpc.status_code"], "0");
  EXPECT_EQ(attributes["ddpt.task"], "small");
  EXPECT_EQ(attributes["ddpt.steps"], "100");
  EXPECT_THAT(Below(spans, call), ElementsAre("load", "queue", "sample"));
  attributes = AttributesOf(Find(spans, "sample").attributes());
  EXPECT_EQ(attributes["ddpt.steps"], "100");
  EXPECT_EQ(attributes["ddpt.count"], "1");
}

TEST_F(TraceTest, OfAGenerate) {
  grpc::ClientContext context;
  SetTimeout(context, TestServer::kTimeout);
  context.AddMetadata("traceparent", kTraceparent);
  v1::GenerateRequest request = Request(4);
  request.mutable_prompt()->set_task("small");
  const auto reader = code_->Generate(&context, request);
  v1::GenerateResponse message;
  while (reader->Read(&message)) continue;
  ASSERT_TRUE(reader->Finish().ok());
  const auto spans = Finish();
  const auto call = Find(spans, "ddpt.v1.CodeService/Generate");
  EXPECT_EQ(absl::BytesToHexString(call.parent_span_id()), kCallersSpan);
  EXPECT_THAT(Below(spans, call),
              ElementsAre("load", "queue", "sample", "queue", "encode", "decode"));
  EXPECT_EQ(AttributesOf(Find(spans, "decode").attributes())["ddpt.output_tokens"], "4");
}

TEST_F(TraceTest, OfAJobFromItsCall) {
  grpc::ClientContext context;
  SetTimeout(context, TestServer::kTimeout);
  context.AddMetadata("traceparent", kTraceparent);
  v1::TrainingJob job;
  const auto stub = v1::TrainingService::NewStub(server_->channel());
  ASSERT_TRUE(stub->Train(&context, SmallTraining("traced"), &job).ok());
  ASSERT_TRUE(TrainingClient(server_->channel()).Await(job.job_id()).ok());
  const auto spans = Finish();
  const auto run = Find(spans, "train");
  EXPECT_EQ(run.parent_span_id(), Find(spans, "ddpt.v1.TrainingService/Train").span_id());
  auto attributes = AttributesOf(run.attributes());
  EXPECT_EQ(attributes["ddpt.job"], job.job_id());
  EXPECT_EQ(attributes["ddpt.steps"], "12");
  EXPECT_EQ(attributes["ddpt.state"], "succeeded");
}

TEST_F(TraceTest, ErrorsAreTheServersOnly) {
  grpc::ClientContext context;
  context.AddMetadata("traceparent", kTraceparent);
  v1::SampleResponse response;
  EXPECT_FALSE(server_->prompts().Sample(&context, SampleOf("nobody", 1), &response).ok());
  const auto call = Find(Finish(), "ddpt.v1.PromptService/Sample");
  EXPECT_EQ(AttributesOf(call.attributes())["rpc.grpc.status_code"], "5");
  EXPECT_FALSE(call.has_status());
}

TEST_F(TraceTest, WhatTheCallerDoesNotRecordIsNotRecorded) {
  Sample({"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"});
  for (const auto& span : Finish()) {
    EXPECT_NE(absl::BytesToHexString(span.trace_id()), kTraceId);
  }
}

TEST_F(TraceTest, AMalformedOrDoubleHeaderBeginsANewTrace) {
  Sample({"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01"});
  Sample({kTraceparent, kTraceparent});
  std::vector<std::string> parents;
  for (const auto& span : Finish()) {
    EXPECT_NE(absl::BytesToHexString(span.trace_id()), kTraceId);
    if (span.name() == "ddpt.v1.PromptService/Sample") parents.push_back(span.parent_span_id());
  }
  EXPECT_THAT(parents, ElementsAre("", ""));
}

TEST_F(TraceTest, ADeadCollectorHoldsUpNoRequest) {
  Start([](Config& config) { config.otlp_endpoint = "127.0.0.1:1"; });
  Sample({kTraceparent});
  Sample({kTraceparent});
}

}  // namespace
}  // namespace ddpt
