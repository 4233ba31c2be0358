#include "client/client.h"

#include <gtest/gtest.h>

#include <fstream>

#include "core/base/digest.h"
#include "core/base/status.h"
#include "core/base/trace_context.h"
#include "core/runtime/admission.h"
#include "tests/client/fake_server.h"

namespace ddpt {
namespace {

// Refuses promotions; keeps the file that it was sent.
class FakeTasks : public v1::TaskService::Service {
 public:
  grpc::Status PromoteTask(grpc::ServerContext*, const v1::PromoteTaskRequest*,
                           v1::TaskInfo*) override {
    ++promotions;
    return Unavailable();
  }
  grpc::Status ImportTask(grpc::ServerContext*, grpc::ServerReader<v1::ImportTaskRequest>* reader,
                          v1::TaskInfo* response) override {
    v1::ImportTaskRequest request;
    while (reader->Read(&request)) {
      if (request.has_header()) header = request.header();
      bytes += request.chunk();
    }
    response->set_task(header.task());
    return grpc::Status::OK;
  }

  int promotions = 0;
  v1::ImportTaskRequest::Header header;
  std::string bytes;
};

TEST(ClientTest, RepeatsAnIdempotentCallAfterUnavailable) {
  FakePrompts prompts;
  prompts.failures = 2;
  const FakeServer server({&prompts});
  const auto response = server.Connect()->Sample({});
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(prompts.calls, 3);
}

TEST(ClientTest, EachCallIsATraceAndItsAttemptsAreOne) {
  FakePrompts prompts;
  prompts.failures = 1;
  const FakeServer server({&prompts});
  const auto client = server.Connect();
  ASSERT_TRUE(client->Sample({}).ok());
  ASSERT_TRUE(client->Sample({}).ok());
  ASSERT_EQ(prompts.traceparents.size(), 3u);
  EXPECT_TRUE(ParseTraceparent(prompts.traceparents[0])->sampled);
  EXPECT_EQ(prompts.traceparents[1], prompts.traceparents[0]);
  EXPECT_NE(ParseTraceparent(prompts.traceparents[2])->TraceId(),
            ParseTraceparent(prompts.traceparents[0])->TraceId());
}

TEST(ClientTest, CallsBelongToTheCallersTrace) {
  FakePrompts prompts;
  const FakeServer server({&prompts});
  Client::Options options = server.options();
  options.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
  ASSERT_TRUE(Client::Create(options).value()->Sample({}).ok());
  options.traceparent = "what is none";
  ASSERT_TRUE(Client::Create(options).value()->Sample({}).ok());
  ASSERT_EQ(prompts.traceparents.size(), 2u);
  EXPECT_EQ(prompts.traceparents[0], "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
  EXPECT_TRUE(ParseTraceparent(prompts.traceparents[1]));
}

TEST(ClientTest, GivesUpAfterItsAttemptsAndNamesTheServer) {
  FakePrompts prompts;
  prompts.failures = 100;
  const FakeServer server({&prompts});
  const absl::Status status = server.Connect()->Sample({}).status();
  EXPECT_EQ(status, absl::UnavailableError(server.address + ": not now"));
  EXPECT_EQ(prompts.calls, 4);
}

TEST(ClientTest, DoesNotRepeatAfterOtherErrors) {
  FakePrompts prompts;
  prompts.failures = 1;
  google::rpc::RetryInfo wait;
  wait.mutable_retry_delay()->set_seconds(7);
  prompts.failure = StatusWith(grpc::StatusCode::RESOURCE_EXHAUSTED, "full", wait);
  const FakeServer server({&prompts});
  const absl::Status status = server.Connect()->Sample({}).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_EQ(RetryAfter(status), std::chrono::seconds(7));
  EXPECT_EQ(prompts.calls, 1);
}

TEST(ClientTest, RepeatsWhatAServerThatStoppedCancelled) {
  FakePrompts prompts;
  prompts.failures = 1;
  prompts.failure = {grpc::StatusCode::CANCELLED, "stopped"};
  const FakeServer server({&prompts});
  EXPECT_TRUE(server.Connect()->Sample({}).ok());
  EXPECT_EQ(prompts.calls, 2);
}

TEST(ClientTest, NeverRepeatsAPromotion) {
  FakeTasks tasks;
  const FakeServer server({&tasks});
  EXPECT_TRUE(absl::IsUnavailable(server.Connect()->PromoteTask({}).status()));
  EXPECT_EQ(tasks.promotions, 1);
}

TEST(ClientTest, GivesEveryCallADeadline) {
  FakePrompts prompts;
  const FakeServer server({&prompts});
  ASSERT_TRUE(server.Connect()->Sample({}).ok());
  EXPECT_LE(prompts.deadline, std::chrono::system_clock::now() + std::chrono::seconds(61));
}

TEST(ClientTest, EndsAtItsDeadline) {
  FakePrompts prompts;
  prompts.hang = true;
  const FakeServer server({&prompts});
  Client::Options options = server.options();
  options.deadline = std::chrono::milliseconds(50);
  const absl::Status status = (*Client::Create(options))->Sample({}).status();
  prompts.Release();
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
}

TEST(ClientTest, SendsItsToken) {
  FakePrompts prompts;
  const FakeServer server({&prompts});
  Client::Options options = server.options();
  options.token = "secret";
  ASSERT_TRUE((*Client::Create(options))->Sample({}).ok());
  EXPECT_EQ(prompts.authorization, "Bearer secret");
}

TEST(ClientTest, SendsTheTokenOfAFile) {
  FakePrompts prompts;
  const FakeServer server({&prompts});
  Client::Options options = server.options();
  options.token_file = testing::TempDir() + "client_test_token";
  std::ofstream(options.token_file) << "secret\nanything\n";
  ASSERT_TRUE((*Client::Create(options))->Sample({}).ok());
  EXPECT_EQ(prompts.authorization, "Bearer secret");
  options.token = "another";
  EXPECT_EQ(FieldOf(Client::Create(options).status()), "token-file");
}

TEST(ClientTest, KeepsItsTokenToItselfInPlainText) {
  Client::Options options;
  options.token = "secret";
  for (const char* target : {"10.0.0.1:50051", "dns:///ddpt:50051", "unix.example:50051",
                             "ipv4:127.0.0.1:1,10.0.0.1:2"}) {
    options.target = target;
    const absl::Status status = Client::Create(options).status();
    EXPECT_EQ(FieldOf(status), "token") << target;
    EXPECT_EQ(status.message().find("secret"), absl::string_view::npos);
  }
  for (const char* target : {"localhost:50051", "dns:///localhost:50051", "[::1]:50051",
                             "ipv4:127.0.0.1:50051", "unix:/run/ddpt.sock"}) {
    options.target = target;
    EXPECT_TRUE(Client::Create(options).ok()) << target;
  }
  options.target = "10.0.0.1:50051";
  options.tls = true;
  EXPECT_TRUE(Client::Create(options).ok());
}

TEST(ClientTest, SaysWhenTheServerDoesNotOfferACall) {
  FakePrompts prompts;
  const FakeServer server({&prompts});
  const absl::Status status = server.Connect()->GetModel().status();
  EXPECT_TRUE(absl::IsUnimplemented(status)) << status;
  EXPECT_NE(status.message().find(server.address + " does not offer this call"),
            absl::string_view::npos);
}

TEST(ClientTest, SendsAFileInPiecesAfterItsDigest) {
  FakeTasks tasks;
  const FakeServer server({&tasks});
  const std::string path = testing::TempDir() + "client_test_import";
  const std::string bytes(700'000, 'x');
  std::ofstream(path, std::ios::binary) << bytes;
  v1::ImportTaskRequest::Header header;
  header.set_task("sql");
  const auto task = server.Connect()->ImportTask(header, path);
  ASSERT_TRUE(task.ok()) << task.status();
  EXPECT_EQ(tasks.header.sha256(), Sha256Hex(bytes));
  EXPECT_TRUE(tasks.bytes == bytes);
}

TEST(ClientTest, NeedsTheKeyOfACertificate) {
  Client::Options options;
  options.tls_cert = "cert.pem";
  EXPECT_EQ(FieldOf(Client::Create(options).status()), "tls-key");
}

TEST(ClientTest, NamesTheOptionOfAnUnreadableFile) {
  Client::Options options;
  options.tls_ca = "/nowhere/ca.pem";
  EXPECT_EQ(FieldOf(Client::Create(options).status()), "tls-ca");
}

TEST(ClientTest, RefusesADeadlineOfZero) {
  Client::Options options;
  options.deadline = std::chrono::milliseconds(0);
  EXPECT_EQ(FieldOf(Client::Create(options).status()), "timeout");
}

}  // namespace
}  // namespace ddpt
