#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "client/client.h"
#include "client/http_get.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/runtime/admission.h"
#include "tests/integration/child_server.h"
#include "tests/integration/raw_call.h"
#include "tests/integration/server_fixture.h"

namespace ddpt {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using testing::HasSubstr;
using testing::Not;

constexpr char kReflection[] = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
const std::string kListServices("\x3a\x00", 2);

std::string Line(const std::string& token, const std::string& scopes, const std::string& name) {
  return absl::StrCat(Sha256Hex(token), " ", scopes, " ", name, "\n");
}

absl::Status List(const std::string& address, const std::string& token) {
  Client::Options options;
  options.target = address;
  options.token = token;
  return (*Client::Create(options))->ListTasks({}).status();
}

absl::Status Promote(const std::string& address, const std::string& token) {
  Client::Options options;
  options.target = address;
  options.token = token;
  v1::PromoteTaskRequest request;
  request.set_task("small");
  request.set_version(1);
  return (*Client::Create(options))->PromoteTask(request).status();
}

class TokensTest : public testing::Test {
 protected:
  TokensTest() {
    Write(Line("reading", "read", "alice") + Line("ruling", "read,admin,sample,train", "root"));
  }

  void Write(const std::string& text) const { ASSERT_TRUE(WriteFileAtomic(File(), text).ok()); }
  std::string File() const { return directory_.path() + "/tokens"; }
  std::string State() const { return directory_.path() + "/state"; }

  Config ServerConfig() const {
    Config config = TestConfig(State());
    config.tokens = File();
    return config;
  }

  TemporaryDirectory directory_;
};

TEST_F(TokensTest, ATokenOfTheFileOpensTheServer) {
  TestServer server(ServerConfig());
  EXPECT_TRUE(List(server.server().address(), "reading").ok());
}

TEST_F(TokensTest, NoTokenAndAWrongOneAreUnauthenticated) {
  TestServer server(ServerConfig());
  const absl::Status none = List(server.server().address(), "");
  EXPECT_TRUE(absl::IsUnauthenticated(none)) << none;
  EXPECT_THAT(std::string(none.message()), HasSubstr("authorization: Bearer"));
  const absl::Status wrong = List(server.server().address(), "guessed");
  EXPECT_TRUE(absl::IsUnauthenticated(wrong)) << wrong;
  EXPECT_THAT(std::string(wrong.message()), Not(HasSubstr("guessed")));
}

TEST_F(TokensTest, TheDigestIsNoToken) {
  TestServer server(ServerConfig());
  EXPECT_TRUE(absl::IsUnauthenticated(List(server.server().address(), Sha256Hex("reading"))));
}

TEST_F(TokensTest, AMissingScopeIsNamedAndTheTokenIsNot) {
  TestServer server(ServerConfig());
  const absl::Status status = Promote(server.server().address(), "reading");
  EXPECT_TRUE(absl::IsPermissionDenied(status)) << status;
  EXPECT_EQ(status.message(),
            "ddpt.v1.TaskService/PromoteTask needs the scope \"admin\", which the token of "
            "\"alice\" has not");
  EXPECT_TRUE(absl::IsNotFound(Promote(server.server().address(), "ruling")));
}

TEST_F(TokensTest, StreamsAreGuardedToo) {
  TestServer server(ServerConfig());
  const absl::Status status = server.Import("small", DenoiserFile(SmallSpec(), 1)).status();
  EXPECT_TRUE(absl::IsUnauthenticated(status)) << status;
}

TEST_F(TokensTest, HealthIsOpen) {
  TestServer server(ServerConfig());
  EXPECT_EQ(server.Health(""), 1);
}

TEST_F(TokensTest, ReflectionNeedsRead) {
  Write(Line("reading", "read", "alice") + Line("sampling", "sample", "bob"));
  TestServer server(ServerConfig());
  const auto list = [&](const std::string& authorization) {
    return RawCall(server.channel(), kReflection, {kListServices},
                   {.authorization = authorization});
  };
  const auto allowed = list("Bearer reading");
  ASSERT_TRUE(allowed.ok()) << allowed.status();
  EXPECT_THAT(*allowed, HasSubstr("ddpt.v1.PromptService"));
  EXPECT_TRUE(absl::IsUnauthenticated(list("").status()));
  EXPECT_TRUE(absl::IsUnauthenticated(list("Bearer guessed").status()));
  const absl::Status denied = list("Bearer sampling").status();
  EXPECT_TRUE(absl::IsPermissionDenied(denied)) << denied;
  EXPECT_THAT(std::string(denied.message()), HasSubstr("\"read\""));
}

TEST_F(TokensTest, ARefusedReflectionTellsNothing) {
  TestServer server(ServerConfig());
  grpc::GenericStub stub(server.channel());
  grpc::ClientContext context;
  SetTimeout(context, TestServer::kTimeout);
  grpc::CompletionQueue queue;
  const auto call = stub.PrepareCall(&context, kReflection, &queue);
  void* tag = nullptr;
  bool ok = false;
  call->StartCall(&queue);
  queue.Next(&tag, &ok);
  const grpc::Slice question(kListServices);
  call->Write(grpc::ByteBuffer(&question, 1), &queue);
  queue.Next(&tag, &ok);
  grpc::ByteBuffer answer;
  call->Read(&answer, &queue);
  queue.Next(&tag, &ok);
  ASSERT_TRUE(ok);
  grpc::Slice bytes;
  ASSERT_TRUE(answer.DumpToSingleSlice(&bytes).ok());
  const std::string text(reinterpret_cast<const char*>(bytes.begin()), bytes.size());
  EXPECT_THAT(text, HasSubstr("authorization: Bearer"));
  EXPECT_THAT(text, Not(HasSubstr("PromptService")));
  context.TryCancel();
  grpc::Status status;
  call->Finish(&status, &queue);
  queue.Next(&tag, &ok);
}

TEST_F(TokensTest, AReplacedFileIsGoodWithoutARestart) {
  TestServer server(ServerConfig());
  const std::string address = server.server().address();
  ASSERT_TRUE(List(address, "reading").ok());
  Write(Line("new", "read", "alice"));
  const auto deadline = steady_clock::now() + TestServer::kTimeout;
  while (!List(address, "new").ok()) ASSERT_LT(steady_clock::now(), deadline);
  EXPECT_TRUE(absl::IsUnauthenticated(List(address, "reading")));
}

TEST_F(TokensTest, AFileThatIsWrongIsRefusedAtTheStart) {
  Write("reading read alice\n");
  const absl::Status status = Server::Create(ServerConfig()).status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("tokens: " + File() + ": line 1 "));
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("reading")));
}

TEST_F(TokensTest, NothingSecretIsInLogOrMetrics) {
  const std::string log_file = directory_.path() + "/log";
  std::vector<std::string> arguments = ChildArguments(State());
  arguments.insert(arguments.end(), {"--log-level", "trace", "--tokens", File()});
  ChildServer child(arguments, log_file);
  const auto endpoints = AwaitEndpoints(State());
  const std::string address = endpoints["grpc"];
  EXPECT_TRUE(List(address, "reading").ok());
  EXPECT_FALSE(List(address, "guessed").ok());
  EXPECT_FALSE(Promote(address, "reading").ok());
  const auto channel = grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
  EXPECT_FALSE(
      RawCall(channel, kReflection, {kListServices}, {.authorization = "Bearer guessed"}).ok());
  Write("mistaken read alice\n");
  const auto log = [&] { return ReadFile(log_file, 1 << 20).value(); };
  const auto deadline = steady_clock::now() + TestServer::kTimeout;
  while (log().find("tokens_not_reloaded") == std::string::npos) {
    EXPECT_TRUE(List(address, "reading").ok()) << "the old tokens stay";
    ASSERT_LT(steady_clock::now(), deadline);
  }
  const auto metrics = HttpGet(endpoints["metrics"], "/metrics", milliseconds(10'000));
  ASSERT_TRUE(metrics.ok()) << metrics.status();
  EXPECT_THAT(log(), HasSubstr("\"client\":\"alice\""));
  for (const std::string secret : {"reading", "guessed", "mistaken"}) {
    EXPECT_THAT(log(), Not(HasSubstr(secret)));
    EXPECT_THAT(log(), Not(HasSubstr(Sha256Hex(secret))));
    EXPECT_THAT(*metrics, Not(HasSubstr(secret)));
    EXPECT_THAT(*metrics, Not(HasSubstr(Sha256Hex(secret))));
  }
}

}  // namespace
}  // namespace ddpt
