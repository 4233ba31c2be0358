#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>
#include <map>

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

// A call of ListTasks by hand, as no gRPC client would make it; whether an answer came.
bool CallWithRequestId(const std::string& at, const std::string& request_id) {
  const auto port = static_cast<uint16_t>(std::stoi(at.substr(at.rfind(':') + 1)));
  const int socket_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{.sin_family = AF_INET,
                      .sin_port = htons(port),
                      .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)},
                      .sin_zero = {}};
  timeval patience{.tv_sec = 20, .tv_usec = 0};
  setsockopt(socket_fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  if (connect(socket_fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) return false;
  const auto frame = [](char type, char flags, char stream, const std::string& payload) {
    const char head[] = {0, 0, static_cast<char>(payload.size()), type, flags, 0, 0, 0, stream};
    return std::string(head, sizeof(head)) + payload;
  };
  std::string headers;
  for (const auto& [name, value] :
       std::map<std::string, std::string>{{":method", "POST"},
                                          {":path", "/ddpt.v1.TaskService/ListTasks"},
                                          {":scheme", "http"},
                                          {"content-type", "application/grpc"},
                                          {"te", "trailers"},
                                          {"x-request-id", request_id}}) {
    headers += '\0';  // a literal that is not to be indexed
    headers += static_cast<char>(name.size()) + name + static_cast<char>(value.size()) + value;
  }
  const std::string bytes = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, "") +
                            frame(1, 4, 1, headers) + frame(0, 1, 1, std::string(5, '\0'));
  send(socket_fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  std::string answer(1 << 16, '\0');
  size_t size = 0;
  while (answer.find("grpc-status") == answer.npos && size < answer.size()) {
    const ssize_t got = recv(socket_fd, &answer[size], answer.size() - size, 0);
    if (got <= 0) break;
    size += static_cast<size_t>(got);
  }
  close(socket_fd);
  return answer.find("grpc-status") != answer.npos;
}

TEST_F(ConnectionTest, ARequestIdThatCannotBeSentBackIsNot) {
  TestServer server(config_);
  for (const char* id : {"plain", "a\tb", "a\xe9z", "a b"}) {
    EXPECT_TRUE(CallWithRequestId(server.server().address(), id)) << id;
  }
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
  config_.batch_capacity = 1;  // a draw of many rows would keep the other's waiting for long
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
