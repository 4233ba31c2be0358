#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "client/client.h"
#include "client/status.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/runtime/admission.h"
#include "server/config.h"
#include "tests/integration/raw_call.h"
#include "tests/integration/server_fixture.h"

namespace ddpt {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using std::chrono::system_clock;
using testing::HasSubstr;

// Limits of connections and clients, on a server that has the slow task.
class ConnectionTest : public testing::Test {
 protected:
  ConnectionTest() {
    TestServer server(config_);
    EXPECT_TRUE(server.Import("slow", DenoiserFile(SlowSpec(), 1)).ok());
  }

  TemporaryDirectory directory_;
  Config config_ = TestConfig(directory_.path());
};

TEST_F(ConnectionTest, AnOldOneIsAskedToGo) {
  config_.max_connection_age = milliseconds(50);
  TestServer server(config_);
  ASSERT_TRUE(server.GetTask("slow").ok());
  EXPECT_TRUE(server.channel()->WaitForStateChange(GRPC_CHANNEL_READY,
                                                   system_clock::now() + TestServer::kTimeout));
}

TEST_F(ConnectionTest, AnOldOneIsCutOffAfterItsGrace) {
  config_.max_connection_age = milliseconds(50);
  config_.max_connection_age_grace = milliseconds(50);
  TestServer server(config_);
  const absl::Status status = server.Sample(MinutesOfSampling(), kMinutesOfSampling).status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
}

TEST_F(ConnectionTest, MoreCallsThanStreamsWaitAtTheClient) {
  config_.max_streams = 1;
  TestServer server(config_);
  LongSample running(server);
  const absl::Status status = server.Sample(SampleOf("slow", 1), milliseconds(100)).status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  EXPECT_EQ(server.Metric("grpc_server_started_total", {"\"Sample\""}), 1);
}

TEST_F(ConnectionTest, OneThatPingsTooOftenIsEnded) {
  TestServer server(config_);
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  const auto channel = grpc::CreateCustomChannel(server.server().address(),
                                                 grpc::InsecureChannelCredentials(), arguments);
  // A call that has no end of its own.
  const absl::Status status = RawCall(channel, "/grpc.health.v1.Health/Watch", {""}).status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("ping"));
}

TEST_F(ConnectionTest, OurClientPingsNoMoreThanServersAllow) {
  Client::Options options;
  EXPECT_GE(options.keepalive, Config().min_ping_interval);
  options.keepalive = Config().min_ping_interval;
  EXPECT_TRUE(Client::Create(options).ok());
  options.keepalive -= milliseconds(1);
  EXPECT_EQ(FieldOf(Client::Create(options).status()), "keepalive");
}

TEST_F(ConnectionTest, AClientAtItsLimitIsToldSoAndWhenToComeBack) {
  config_.max_requests_per_client = 1;
  TestServer server(config_);
  LongSample running(server);
  const absl::Status status = server.Sample(SampleOf("slow", 1)).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_EQ(status.message(),
            "the limit of 1 sampling requests for the client \"ipv4:127.0.0.1\" "
            "(max-requests-per-client) is reached");
  EXPECT_EQ(ReasonOf(status), "QUOTA");
  EXPECT_TRUE(RetryAfter(status).has_value());
  EXPECT_EQ(server.Metric("ddpt_requests_rejected_total", {"reason=\"quota\""}), 1);
  EXPECT_TRUE(server.GetTask("slow").ok()) << "another kind of request";
}

TEST_F(ConnectionTest, ClientsAreToldApartByTheirTokensNames) {
  config_.max_requests_per_client = 1;
  config_.tokens = directory_.path() + "/tokens";
  ASSERT_TRUE(WriteFileAtomic(config_.tokens, Sha256Hex("a1") + " sample alice\n" +
                                                  Sha256Hex("a2") + " sample alice\n" +
                                                  Sha256Hex("b") + " sample bob\n")
                  .ok());
  TestServer server(config_);
  const auto sample = [&](const std::string& token, const v1::SampleRequest& request) {
    Client::Options options;
    options.target = server.server().address();
    options.token = token;
    options.deadline = kMinutesOfSampling;
    return (*Client::Create(options))->Sample(request).status();
  };
  auto running = std::async(std::launch::async, sample, "a1", MinutesOfSampling());
  server.AwaitMetric("ddpt_requests_running", {"\"Sample\""}, 1);
  const absl::Status status = sample("a2", SampleOf("slow", 1));
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("\"alice\""));
  EXPECT_TRUE(sample("b", SampleOf("slow", 1)).ok());
  server.server().Shutdown(steady_clock::now());
  EXPECT_FALSE(running.get().ok());
}

}  // namespace
}  // namespace ddpt
