#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <thread>

#include "client/http_get.h"
#include "client/status.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "tests/integration/child_server.h"
#include "tests/integration/model_fixture.h"
#include "tests/integration/server_fixture.h"

namespace ddpt {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using testing::HasSubstr;

void ImportSlowTask(const std::string& state) {
  TestServer server(TestConfig(state));
  ASSERT_TRUE(server.Import("slow", DenoiserFile(SlowSpec(), 1)).ok());
}

TEST(LifecycleTest, SecondServerOnTheStateDirectoryIsRefused) {
  TemporaryDirectory directory;
  TestServer first(TestConfig(directory.path()));
  ChildServer second(ChildArguments(directory.path()));
  EXPECT_EQ(second.Wait(), 1);
  const auto in_process = Server::Create(TestConfig(directory.path())).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(in_process)) << in_process;
  EXPECT_THAT(std::string(in_process.message()), HasSubstr(directory.path()));
}

TEST(LifecycleTest, SecondServerOnThePortIsRefused) {
  TemporaryDirectory one, two;
  TestServer first(TestConfig(one.path()));
  Config config = TestConfig(two.path());
  config.listen = first.server().address();
  auto second = Server::Create(config);
  ASSERT_TRUE(second.ok()) << second.status();
  const absl::Status status = (*second)->Serve();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(config.listen));
}

TEST(LifecycleTest, SecondServerOnTheMetricsPortIsRefusedWithTheReason) {
  TemporaryDirectory one, two;
  TestServer first(TestConfig(one.path()));
  Config config = TestConfig(two.path());
  config.metrics_listen = first.server().metrics_address();
  const absl::Status status = Server::Create(config).status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(config.metrics_listen));
  EXPECT_THAT(std::string(status.message()), HasSubstr("Address already in use"));
}

TEST(LifecycleTest, BadSettingIsOneLineAndExitCodeOne) {
  EXPECT_EQ(ChildServer({"--threads", "1000"}).Wait(), 1);
  EXPECT_EQ(ChildServer({"--check"}).Wait(), 0);
  EXPECT_EQ(ChildServer({"--check", "--tokens", "/nowhere"}).Wait(), 1);
  EXPECT_EQ(ChildServer({"--check", "--tls-cert", "/nowhere", "--tls-key", "/nowhere"}).Wait(), 1);
}

TEST(LifecycleTest, MetricsAnswerWhileTheServerStarts) {
  TemporaryDirectory directory;
  Config config = TestConfig(directory.path());
  config.model = RandomModel();
  const auto server = Server::Create(config).value();
  const std::string address = server->metrics_address();
  EXPECT_EQ(ScrapeMetric(address, "ddpt_ready", {}), 0);
  EXPECT_THAT(std::string(HttpGet(address, "/readyz", milliseconds(10'000)).status().message()),
              HasSubstr("503"));
  EXPECT_TRUE(HttpGet(address, "/healthz", milliseconds(10'000)).ok());
  ASSERT_TRUE(server->Serve().ok());
  EXPECT_EQ(ScrapeMetric(address, "ddpt_ready", {}), 1);
  EXPECT_TRUE(HttpGet(address, "/readyz", milliseconds(10'000)).ok());
}

TEST(LifecycleTest, ADamagedTaskIsNotServedAndTheOthersAre) {
  TemporaryDirectory directory;
  {
    TestServer server(TestConfig(directory.path()));
    ASSERT_TRUE(server.Import("whole", DenoiserFile(SmallSpec(), 1)).ok());
    const auto damaged = server.Import("damaged", DenoiserFile(SmallSpec(), 2)).value();
    const std::string digest = damaged.versions(0).denoiser_digest();
    const std::string file = directory.path() + "/denoisers/" + digest + ".safetensors";
    ASSERT_TRUE(WriteFileAtomic(file, "damaged").ok());
  }
  TestServer server(TestConfig(directory.path()));
  EXPECT_EQ(server.Health("damaged"), 2);
  EXPECT_EQ(server.Health("whole"), 1);
  EXPECT_TRUE(server.Sample(SampleOf("whole", 1)).ok());
  EXPECT_EQ(server.Sample(SampleOf("damaged", 1)).status().code(), absl::StatusCode::kDataLoss);
  v1::ImportTaskRequest::Header header;
  header.set_task("damaged");
  header.set_promote(v1::PROMOTE_POLICY_NEVER);
  ASSERT_TRUE(server.Import(header, DenoiserFile(SmallSpec(), 3)).ok());
  EXPECT_EQ(server.Health("damaged"), 2) << "the active version is still the damaged one";
  ASSERT_TRUE(server.Import("damaged", DenoiserFile(SmallSpec(), 3)).ok());
  EXPECT_EQ(server.Health("damaged"), 1);
}

// A server that has found the file of "task" damaged after it was imported.
class DamagedTaskTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto task = server_.Import("task", whole_).value();
    ASSERT_TRUE(server_.Import("other", DenoiserFile(SmallSpec(), 2)).ok());
    ASSERT_TRUE(server_.Sample(SampleOf("other", 1)).ok());  // the one engine in memory
    file_ = directory_.path() + "/denoisers/" + task.versions(0).denoiser_digest() + ".safetensors";
    ASSERT_TRUE(WriteFileAtomic(file_, "damaged").ok());
    EXPECT_TRUE(absl::IsDataLoss(server_.Sample(SampleOf("task", 1)).status()));
    EXPECT_EQ(server_.Health("task"), 2);
  }

  static Config OneEngine(const std::string& state) {
    Config config = TestConfig(state);
    config.engine_cache = 1;
    return config;
  }

  TemporaryDirectory directory_;
  TestServer server_{OneEngine(directory_.path())};
  const std::string whole_ = DenoiserFile(SmallSpec(), 1);
  std::string file_;
};

TEST_F(DamagedTaskTest, IsServedOnceItsFileIsRestored) {
  ASSERT_TRUE(WriteFileAtomic(file_, whole_).ok());
  EXPECT_TRUE(server_.Sample(SampleOf("task", 1)).ok());
  EXPECT_EQ(server_.Health("task"), 1);
}

TEST_F(DamagedTaskTest, IsServedOnceTheSameFileIsImportedAgain) {
  ASSERT_TRUE(server_.Import("task", whole_).ok());
  EXPECT_EQ(server_.Health("task"), 1);
  EXPECT_TRUE(server_.Sample(SampleOf("task", 1)).ok());
}

TEST(LifecycleTest, DrainAnswersAllThatWereAccepted) {
  constexpr int kClients = 64;
  TemporaryDirectory directory;
  ImportSlowTask(directory.path());
  ChildServer child(ChildArguments(directory.path()));
  const auto endpoints = AwaitEndpoints(directory.path());
  const std::string address = endpoints["grpc"];
  const std::string metrics = endpoints["metrics"];
  const auto channel = grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
  const auto stub = v1::PromptService::NewStub(channel);
  std::atomic<int> answered{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.emplace_back([&, i] {
      grpc::ClientContext context;
      v1::SampleResponse response;
      if (stub->Sample(&context, SampleOf("slow", i), &response).ok()) ++answered;
    });
  }
  while (ScrapeMetric(metrics, "grpc_server_started_total", {"\"Sample\""}) < kClients) {
    std::this_thread::yield();
  }
  child.Signal(SIGTERM);
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(answered, kClients);
  EXPECT_EQ(child.Wait(), 0);
  EXPECT_FALSE(ReadFile(directory.path() + "/endpoints.json", 4096).ok());
}

TEST(LifecycleTest, SecondSignalStopsNow) {
  TemporaryDirectory directory;
  ImportSlowTask(directory.path());
  ChildServer child(ChildArguments(directory.path()));
  const auto endpoints = AwaitEndpoints(directory.path());
  const auto channel =
      grpc::CreateChannel(std::string(endpoints["grpc"]), grpc::InsecureChannelCredentials());
  const auto stub = v1::PromptService::NewStub(channel);
  std::thread client([&] {
    grpc::ClientContext context;
    v1::SampleResponse response;
    EXPECT_FALSE(stub->Sample(&context, SampleOf("slow", 1, 1000), &response).ok());
  });
  while (ScrapeMetric(endpoints["metrics"], "ddpt_requests_running", {"\"Sample\""}) < 1) {
    std::this_thread::yield();
  }
  child.Signal(SIGTERM);
  while (AskHealth(channel, "") == 1) std::this_thread::yield();
  child.Signal(SIGTERM);
  EXPECT_EQ(child.Wait(), 130);
  client.join();
}

TEST(LifecycleTest, DrainingRefusesNewCallsAndSaysSo) {
  TemporaryDirectory directory;
  TestServer server(TestConfig(directory.path()));
  ASSERT_TRUE(server.Import("slow", DenoiserFile(SlowSpec(), 1)).ok());
  LongSample running(server);
  std::thread stopper(
      [&] { server.server().Shutdown(steady_clock::now() + TestServer::kTimeout); });
  while (server.Health("") == 1) std::this_thread::yield();
  EXPECT_EQ(server.Health("slow"), 2);
  EXPECT_EQ(server.Metric("ddpt_ready"), 0);
  const auto ready =
      HttpGet(server.server().metrics_address(), "/readyz", milliseconds(10'000)).status();
  EXPECT_THAT(std::string(ready.message()), HasSubstr("503"));
  EXPECT_TRUE(HttpGet(server.server().metrics_address(), "/healthz", milliseconds(10'000)).ok());
  absl::Status status;
  do {
    status = server.Sample(SampleOf("slow", 1), milliseconds(200)).status();
  } while (absl::IsDeadlineExceeded(status));
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("draining"));
  EXPECT_EQ(ReasonOf(status), "DRAINING");
  EXPECT_TRUE(absl::IsCancelled(running.Cancel()));
  stopper.join();
}

TEST(LifecycleTest, WhatTheDrainLeavesIsToldUnavailable) {
  TemporaryDirectory directory;
  TestServer server(TestConfig(directory.path()));
  ASSERT_TRUE(server.Import("slow", DenoiserFile(SlowSpec(), 1)).ok());
  absl::Status status;
  std::thread client(
      [&] { status = server.Sample(SampleOf("slow", 1, 100), kMinutesOfSampling).status(); });
  server.AwaitMetric("ddpt_requests_running", {"\"Sample\""}, 1);
  server.server().Shutdown(steady_clock::now() + milliseconds(1));
  client.join();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
}

}  // namespace
}  // namespace ddpt
