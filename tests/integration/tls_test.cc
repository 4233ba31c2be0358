#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "client/client.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "tests/integration/certificates.h"
#include "tests/integration/child_server.h"
#include "tests/integration/server_fixture.h"

namespace ddpt {
namespace {

using std::chrono::steady_clock;
using testing::HasSubstr;

constexpr char kName[] = "ddpt.test";

// Real handshakes on loopback, with certificates of an authority of the test's own.
class TlsTest : public testing::Test {
 protected:
  TlsTest() {
    authority_.Write(directory_.path(), "ca");
    MakeCertificate(authority_, kName).Write(directory_.path(), "server");
  }

  std::string File(const std::string& name) const { return directory_.path() + "/" + name; }

  Config ServerConfig() const {
    Config config = TestConfig(File("state"));
    config.tls_cert = File("server.pem");
    config.tls_key = File("server.key");
    return config;
  }

  Client::Options ClientOptions(const std::string& address) const {
    Client::Options options;
    options.target = address;
    options.retry.max_attempts = 1;
    options.tls_ca = File("ca.pem");
    options.tls_server_name = kName;
    return options;
  }

  static absl::Status Call(const Client::Options& options) {
    const auto client = Client::Create(options);
    return client.ok() ? (*client)->ListTasks({}).status() : client.status();
  }

  // Calls over connections of their own until one ends so.
  static void AwaitCall(const Client::Options& options, absl::StatusCode code) {
    const auto deadline = steady_clock::now() + TestServer::kTimeout;
    absl::Status status;
    do {
      status = Call(options);
      ASSERT_LT(steady_clock::now(), deadline) << status;
    } while (status.code() != code);
  }

  static std::string StartError(const Config& config) {
    return std::string(Server::Create(config).status().message());
  }

  TemporaryDirectory directory_;
  const TestCertificate authority_ = MakeAuthority("test authority");
};

TEST_F(TlsTest, ServesOverTls) {
  TestServer server(ServerConfig());
  EXPECT_TRUE(Call(ClientOptions(server.server().address())).ok());
}

TEST_F(TlsTest, PlainTextIsNotAnswered) {
  TestServer server(ServerConfig());
  Client::Options options;
  options.target = server.server().address();
  options.retry.max_attempts = 1;
  EXPECT_TRUE(absl::IsUnavailable(Call(options)));
}

TEST_F(TlsTest, AnotherAuthorityIsNotTrusted) {
  TestServer server(ServerConfig());
  MakeAuthority("another").Write(directory_.path(), "ca");
  EXPECT_TRUE(absl::IsUnavailable(Call(ClientOptions(server.server().address()))));
}

TEST_F(TlsTest, AnotherNameIsNotTrusted) {
  TestServer server(ServerConfig());
  Client::Options options = ClientOptions(server.server().address());
  options.tls_server_name = "other.test";
  EXPECT_TRUE(absl::IsUnavailable(Call(options)));
}

TEST_F(TlsTest, AServerWithAnExpiredCertificateIsNotTrusted) {
  const TestCertificate expired = MakeCertificate(authority_, kName, std::chrono::seconds(-60));
  grpc::SslServerCredentialsOptions options;
  options.pem_key_cert_pairs = {{expired.KeyPem(), expired.CertificatePem()}};
  v1::TaskService::Service service;
  int port = 0;
  const auto server =
      grpc::ServerBuilder()
          .AddListeningPort("127.0.0.1:0", grpc::SslServerCredentials(options), &port)
          .RegisterService(&service)
          .BuildAndStart();
  const absl::Status status = Call(ClientOptions("127.0.0.1:" + std::to_string(port)));
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
}

TEST_F(TlsTest, AnExpiredCertificateIsRefusedAtTheStart) {
  MakeCertificate(authority_, kName, std::chrono::seconds(-60)).Write(directory_.path(), "server");
  const std::string error = StartError(ServerConfig());
  EXPECT_THAT(error, HasSubstr("tls-cert: " + File("server.pem")));
  EXPECT_THAT(error, HasSubstr("expired on "));
}

TEST_F(TlsTest, TheKeyOfAnotherCertificateIsRefusedAtTheStart) {
  MakeCertificate(authority_, kName).Write(directory_.path(), "other");
  Config config = ServerConfig();
  config.tls_key = File("other.key");
  EXPECT_EQ(StartError(config), "tls-key: " + File("other.key") +
                                    " is not the key of the certificate in " + File("server.pem"));
}

TEST_F(TlsTest, AFileThatIsNoCertificateIsRefusedAtTheStart) {
  Config config = ServerConfig();
  config.tls_client_ca = File("server.key");
  EXPECT_THAT(StartError(config), HasSubstr("tls-client-ca: " + File("server.key")));
  config.tls_cert = File("nowhere.pem");
  EXPECT_THAT(StartError(config), HasSubstr(File("nowhere.pem")));
}

class MutualTlsTest : public TlsTest {
 protected:
  MutualTlsTest() { MakeCertificate(authority_, "alice").Write(directory_.path(), "client"); }

  Config MutualConfig() const {
    Config config = ServerConfig();
    config.tls_client_ca = File("ca.pem");
    return config;
  }

  Client::Options WithCertificate(const std::string& address) const {
    Client::Options options = ClientOptions(address);
    options.tls_cert = File("client.pem");
    options.tls_key = File("client.key");
    return options;
  }
};

TEST_F(MutualTlsTest, AClientShowsItsCertificate) {
  TestServer server(MutualConfig());
  EXPECT_TRUE(Call(WithCertificate(server.server().address())).ok());
}

TEST_F(MutualTlsTest, AClientWithoutOneIsNotServed) {
  TestServer server(MutualConfig());
  EXPECT_TRUE(absl::IsUnavailable(Call(ClientOptions(server.server().address()))));
}

TEST_F(MutualTlsTest, AClientOfAnotherAuthorityIsNotServed) {
  TestServer server(MutualConfig());
  MakeCertificate(MakeAuthority("another"), "mallory").Write(directory_.path(), "client");
  EXPECT_TRUE(absl::IsUnavailable(Call(WithCertificate(server.server().address()))));
}

// Our client would say so before it connects.
TEST_F(MutualTlsTest, AClientWithAnExpiredCertificateIsNotServed) {
  TestServer server(MutualConfig());
  const auto call = [&](const TestCertificate& certificate) {
    grpc::ChannelArguments arguments;
    arguments.SetSslTargetNameOverride(kName);
    const auto channel = grpc::CreateCustomChannel(
        server.server().address(),
        grpc::SslCredentials({.pem_root_certs = authority_.CertificatePem(),
                              .pem_private_key = certificate.KeyPem(),
                              .pem_cert_chain = certificate.CertificatePem()}),
        arguments);
    return AskHealth(channel, "");
  };
  EXPECT_EQ(call(MakeCertificate(authority_, "alice", std::chrono::seconds(-60))), -1);
  EXPECT_EQ(call(MakeCertificate(authority_, "alice")), 1);
}

TEST_F(MutualTlsTest, ClientsAreToldApartByTheirCertificates) {
  Config config = MutualConfig();
  ASSERT_TRUE(WriteFileAtomic(File("slow"), DenoiserFile(SlowSpec(), 1)).ok());
  config.import_tasks = {{"slow", File("slow")}};
  config.max_requests_per_client = 1;
  TestServer server(config);
  Client::Options options = WithCertificate(server.server().address());
  options.deadline = kMinutesOfSampling;
  const auto client = Client::Create(options);
  auto running = std::async(std::launch::async,
                            [&] { return (*client)->Sample(MinutesOfSampling()).status(); });
  server.AwaitMetric("ddpt_requests_running", {"\"Sample\""}, 1);
  const absl::Status status = (*client)->Sample(SampleOf("slow", 1)).status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("for the client \"CN=alice\""));
  server.server().Shutdown(steady_clock::now());
  EXPECT_FALSE(running.get().ok());
}

TEST_F(MutualTlsTest, AClientWithTheWrongKeyIsToldSoBeforeItConnects) {
  MakeCertificate(authority_, "bob").Write(directory_.path(), "bob");
  Client::Options options = WithCertificate("127.0.0.1:1");
  options.tls_key = File("bob.key");
  const absl::Status status = Client::Create(options).status();
  EXPECT_EQ(FieldOf(status), "tls-key");
  EXPECT_THAT(std::string(status.message()), HasSubstr(File("bob.key")));
}

TEST_F(MutualTlsTest, AnAuthorityThatIsReplacedIsTrustedNoLonger) {
  TestServer server(MutualConfig());
  const Client::Options options = WithCertificate(server.server().address());
  ASSERT_TRUE(Call(options).ok());
  const TestCertificate other = MakeAuthority("another");
  Config config = MutualConfig();
  const std::string before = ReadFile(config.tls_client_ca, 1 << 20).value();
  other.Write(directory_.path(), "ca");
  ASSERT_TRUE(WriteFileAtomic(File("old-ca.pem"), before).ok());
  Client::Options trusting = options;
  trusting.tls_ca = File("old-ca.pem");
  AwaitCall(trusting, absl::StatusCode::kUnavailable);
  MakeCertificate(other, "alice").Write(directory_.path(), "client");
  EXPECT_TRUE(Call(trusting).ok());
}

TEST_F(TlsTest, ARotatedCertificateIsShownWithoutARestart) {
  TestServer server(ServerConfig());
  const Client::Options before = ClientOptions(server.server().address());
  const auto connected = Client::Create(before);
  ASSERT_TRUE((*connected)->ListTasks({}).ok());
  const TestCertificate other = MakeAuthority("another");
  other.Write(directory_.path(), "new-ca");
  MakeCertificate(other, kName).Write(directory_.path(), "server");
  Client::Options after = before;
  after.tls_ca = File("new-ca.pem");
  AwaitCall(after, absl::StatusCode::kOk);
  EXPECT_TRUE(absl::IsUnavailable(Call(before)));
  EXPECT_TRUE((*connected)->ListTasks({}).ok()) << "a connection that was there stays";
}

TEST_F(TlsTest, ARotationThatDoesNotFitTogetherLeavesTheOldCertificate) {
  std::vector<std::string> arguments = ChildArguments(File("state"));
  arguments.insert(arguments.end(), {"--log-level", "info", "--tls-cert", File("server.pem"),
                                     "--tls-key", File("server.key")});
  ChildServer child(arguments, File("log"));
  const Client::Options options = ClientOptions(AwaitEndpoints(File("state"))["grpc"]);
  ASSERT_TRUE(Call(options).ok());
  ASSERT_TRUE(WriteFileAtomic(File("server.key"), MakeAuthority("another").KeyPem()).ok());
  const auto deadline = steady_clock::now() + TestServer::kTimeout;
  std::string log;
  do {
    EXPECT_TRUE(Call(options).ok());
    ASSERT_LT(steady_clock::now(), deadline) << log;
    log = ReadFile(File("log"), 1 << 20).value();
  } while (log.find("certificate_not_reloaded") == log.npos);
  EXPECT_THAT(log, HasSubstr("is not the key of the certificate"));
  EXPECT_TRUE(Call(options).ok());
}

}  // namespace
}  // namespace ddpt
