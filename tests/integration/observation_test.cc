#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/http_get.h"
#include "client/metrics_lint.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "nlohmann/json.hpp"
#include "tests/device.h"
#include "tests/integration/child_server.h"
#include "tests/integration/raw_call.h"
#include "tests/integration/server_fixture.h"
#include "tests/integration/training_fixture.h"

namespace ddpt {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

nlohmann::json State(const Server& server) {
  const auto text = HttpGet(server.metrics_address(), "/debug/state", milliseconds(10'000));
  EXPECT_TRUE(text.ok()) << text.status();
  return nlohmann::json::parse(text.value_or("{}"));
}

class ObservationTest : public testing::Test {
 protected:
  ObservationTest() : server_(TestConfig(directory_.path())) {
    EXPECT_TRUE(server_.Import("small", DenoiserFile(SmallSpec(), 1)).ok());
  }

  TemporaryDirectory directory_;
  TestServer server_;
};

TEST_F(ObservationTest, CountsAgreeWithTheClients) {
  std::atomic<int> ok{0}, not_found{0};
  std::vector<std::thread> clients;
  for (int client = 0; client < 8; ++client) {
    clients.emplace_back([&, client] {
      for (int i = 0; i < 25; ++i) {
        const auto response = server_.Sample(SampleOf(i % 5 == 0 ? "nobody" : "small", client));
        if (response.ok()) ++ok;
        if (absl::IsNotFound(response.status())) ++not_found;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(ok, 160);
  EXPECT_EQ(not_found, 40);
  const std::string method = "grpc_method=\"Sample\"";
  EXPECT_EQ(server_.Metric("grpc_server_started_total", {method}), 200);
  EXPECT_EQ(server_.Metric("grpc_server_handled_total", {method, "\"OK\""}), 160);
  EXPECT_EQ(server_.Metric("grpc_server_handled_total", {method, "\"NotFound\""}), 40);
  EXPECT_EQ(server_.Metric("grpc_server_handling_seconds_count", {method}), 200);
  EXPECT_EQ(server_.Metric("ddpt_task_requests_total", {"task=\"other\""}), 40);
  EXPECT_EQ(server_.Metric("ddpt_sample_duration_seconds_count", {"sampler=\"ddim\""}), 160);
  EXPECT_EQ(server_.Metric("ddpt_sample_steps_sum"), 160 * 100);
  EXPECT_EQ(server_.Metric("ddpt_requests_running"), 0);
  EXPECT_EQ(server_.Metric("ddpt_requests_waiting"), 0);
}

// Of a server that has done all that it can do, and is training.
TEST(MetricsTest, EveryMetricOfTheContractIsInAScrape) {
  TemporaryDirectory directory;
  TestServer server(TrainingConfig(directory.path()));
  ASSERT_TRUE(server.Import("small", DenoiserFile(SmallSpec(), 1)).ok());
  ASSERT_TRUE(server.Import("slow", DenoiserFile(SlowSpec(), 1)).ok());
  TrainingClient training(server.channel());
  const auto job = training.Train(EndlessTraining("endless"));
  ASSERT_TRUE(training.Watch(job->job_id(), 0, Reached(1)).ok());
  ASSERT_TRUE(server.Sample(SampleOf("small", 1)).ok());
  v1::SampleRequest too_much = SampleOf("slow", 1, 1000);
  too_much.mutable_sampling()->set_steps(10'000);
  EXPECT_EQ(ReasonOf(server.Sample(too_much, milliseconds(1000)).status()),
            "DEADLINE_BEFORE_START");
  while (server.Metric("ddpt_prompt_effect_divergence", {"task=\"small\""}) == 0) {
    std::this_thread::yield();
  }
  std::vector<std::string> families = {"grpc_server_started_total",
                                       "grpc_server_handled_total",
                                       "grpc_server_handling_seconds",
                                       "ddpt_ready",
                                       "ddpt_requests_running",
                                       "ddpt_requests_waiting",
                                       "ddpt_requests_total",
                                       "ddpt_task_requests_total",
                                       "ddpt_requests_rejected_total",
                                       "ddpt_request_duration_seconds",
                                       "ddpt_request_queue_seconds",
                                       "ddpt_time_to_first_token_seconds",
                                       "ddpt_inter_token_latency_seconds",
                                       "ddpt_generation_tokens_total",
                                       "ddpt_sample_duration_seconds",
                                       "ddpt_sample_step_seconds",
                                       "ddpt_sample_steps",
                                       "ddpt_sample_batch_size",
                                       "ddpt_stream_pool_streams",
                                       "ddpt_stream_pool_wait_seconds",
                                       "ddpt_kv_cache_usage_ratio",
                                       "ddpt_prompt_effect_divergence",
                                       "ddpt_task_info",
                                       "ddpt_train_jobs",
                                       "ddpt_train_steps_total",
                                       "ddpt_train_step_seconds",
                                       "ddpt_train_loss",
                                       "ddpt_train_checkpoint_age_seconds",
                                       "ddpt_train_resumes_total",
                                       "ddpt_cancel_latency_seconds",
                                       "ddpt_build_info"};
  if (TestDevice() != "cpu") {
    families.insert(families.end(), {"ddpt_gpu_memory_used_bytes", "ddpt_gpu_memory_total_bytes"});
  }
  const auto text = HttpGet(server.server().metrics_address(), "/metrics", milliseconds(10'000));
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_THAT(LintMetrics(*text, families), testing::IsEmpty());
  ASSERT_TRUE(training.Cancel(job->job_id()).ok());
}

TEST_F(ObservationTest, PortAnswersProbesAndNothingElse) {
  const std::string address = server_.server().metrics_address();
  EXPECT_EQ(HttpGet(address, "/healthz", milliseconds(10'000)).value(), "ok\n");
  EXPECT_EQ(HttpGet(address, "/readyz", milliseconds(10'000)).value(), "ready\n");
  EXPECT_FALSE(HttpGet(address, "/etc/passwd", milliseconds(10'000)).ok());
}

TEST_F(ObservationTest, StateTellsWhatTheServerDoesNow) {
  ASSERT_TRUE(server_.Import("slow", DenoiserFile(SlowSpec(), 1)).ok());
  LongSample running(server_);
  const nlohmann::json state = State(server_.server());
  EXPECT_EQ(state["state"], "ready");
  EXPECT_FALSE(state.contains("reason"));
  EXPECT_GE(state["uptime_seconds"], 0);
  EXPECT_EQ(state["tasks"]["count"], 2);
  EXPECT_EQ(
      state["tasks"]["first"][0],
      nlohmann::json({{"task", "slow"}, {"active_version", 1}, {"versions", 1}, {"loaded", true}}));
  EXPECT_EQ(state["tasks"]["first"][1]["loaded"], false);  // nobody asked for it
  EXPECT_EQ(state["calls"]["methods"]["Sample"], 1);
  EXPECT_EQ(state["calls"]["doors"]["sample"],
            nlohmann::json({{"waiting", 0}, {"running", 1}, {"limit", 1024}}));
  const nlohmann::json& calls = state["calls"]["oldest"];
  const auto call = std::find_if(calls.begin(), calls.end(), [](const nlohmann::json& any) {
    return any["method"] == "ddpt.v1.PromptService/Sample";
  });
  ASSERT_NE(call, calls.end());
  EXPECT_EQ((*call)["task"], "slow");
  EXPECT_EQ((*call)["state"], "running");
  EXPECT_EQ(state["sampling"]["denoisers"], 1);
  EXPECT_EQ(state["workers"]["threads"], 1);
  EXPECT_EQ(state["limits"]["max_count"], 1024);
}

TEST(StateTest, ARestartedServerHasTheEnginesOfItsTasks) {
  TemporaryDirectory directory;
  {
    TestServer server(TestConfig(directory.path()));
    ASSERT_TRUE(server.Import("small", DenoiserFile(SmallSpec(), 1)).ok());
  }
  TestServer server(TestConfig(directory.path()));
  EXPECT_EQ(State(server.server())["tasks"]["first"][0]["loaded"], true);
}

TEST(StateTest, IsThereFromTheStart) {
  TemporaryDirectory directory;
  const auto server = Server::Create(TestConfig(directory.path())).value();
  const nlohmann::json state = State(*server);
  EXPECT_EQ(state["state"], "starting");
  EXPECT_EQ(state["reason"], "starting");
  EXPECT_FALSE(state.contains("tasks"));
}

TEST(StateTest, IsBoundedAndTellsNoSecret) {
  TemporaryDirectory directory;
  Config config = TestConfig(directory.path());
  TestServer server(config);
  for (int i = 0; i < 70; ++i) {
    ASSERT_TRUE(server.Import(absl::StrCat("task-", i), DenoiserFile(SmallSpec(), 1)).ok());
  }
  const nlohmann::json state = State(server.server());
  EXPECT_EQ(state["tasks"]["count"], 70);
  EXPECT_EQ(state["tasks"]["first"].size(), 64u);
  EXPECT_THAT(state.dump(), testing::Not(HasSubstr(directory.path())));
}

TEST(LogTest, WhatLibrariesSayOfHostileMessagesIsJsonToo) {
  TemporaryDirectory directory;
  std::vector<std::string> arguments = ChildArguments(directory.path());
  arguments.insert(arguments.end(), {"--log-level", "warn"});
  const std::string file = directory.path() + "/log";
  ChildServer child(arguments, file);
  const std::string address = AwaitEndpoints(directory.path())["grpc"];
  const auto channel = grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
  const std::string bad_text("\x0a\x02\xff\xfe");
  EXPECT_FALSE(RawCall(channel, "/ddpt.v1.PromptService/Sample", {bad_text}).ok());
  child.Signal(SIGTERM);
  EXPECT_EQ(child.Wait(), 0);
  const std::string log = ReadFile(file, 1 << 20).value();
  EXPECT_THAT(log, HasSubstr("invalid UTF-8"));
  for (const absl::string_view line : absl::StrSplit(log, '\n', absl::SkipEmpty())) {
    EXPECT_TRUE(nlohmann::json::accept(line.begin(), line.end())) << line;
  }
}

TEST_F(ObservationTest, ReflectionListsTheServices) {
  const std::string list_services("\x3a\x00", 2);
  const auto answer =
      RawCall(server_.channel(), "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
              {list_services});
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_THAT(*answer, HasSubstr("ddpt.v1.PromptService"));
  EXPECT_THAT(*answer, HasSubstr("grpc.health.v1.Health"));
}

TEST_F(ObservationTest, NothingIsDescribedWithoutABaseModel) {
  grpc::ClientContext context;
  v1::DescribeResponse response;
  EXPECT_EQ(server_.prompts().Describe(&context, {}, &response).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
}

TEST(LogTest, TellsTraceAndRequestOfACall) {
  TemporaryDirectory directory;
  const std::string log = directory.path() + "/log";
  std::vector<std::string> arguments = ChildArguments(directory.path() + "/state");
  arguments.insert(arguments.end(), {"--log-level", "info"});
  ChildServer child(arguments, log);
  const auto endpoints = AwaitEndpoints(directory.path() + "/state");
  const auto stub = v1::PromptService::NewStub(
      grpc::CreateChannel(std::string(endpoints["grpc"]), grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  context.AddMetadata("x-request-id", "abc-1");
  context.AddMetadata("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
  v1::SampleResponse response;
  EXPECT_FALSE(stub->Sample(&context, SampleOf("nobody", 1), &response).ok());
  child.Signal(SIGTERM);
  EXPECT_EQ(child.Wait(), 0);
  EXPECT_THAT(ReadFile(log, 1 << 20).value(),
              testing::AllOf(HasSubstr("\"request_id\":\"abc-1\""),
                             HasSubstr("\"trace_id\":\"0af7651916cd43dd8448eb211c80319c\"")));
}

TEST_F(ObservationTest, RequestIdComesBack) {
  grpc::ClientContext context;
  context.AddMetadata("x-request-id", "abc-1");
  v1::SampleResponse response;
  ASSERT_TRUE(server_.prompts().Sample(&context, SampleOf("small", 1), &response).ok());
  const auto& metadata = context.GetServerInitialMetadata();
  const auto found = metadata.find("x-request-id");
  ASSERT_NE(found, metadata.end());
  EXPECT_EQ(std::string(found->second.data(), found->second.size()), "abc-1");
}

}  // namespace
}  // namespace ddpt
