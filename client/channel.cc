#include "client/channel.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

constexpr uint64_t kMaxPemBytes = 1 << 20;
constexpr int kKeepaliveMillis = 60'000;
constexpr int kKeepaliveTimeoutMillis = 20'000;

absl::Status ReadPem(std::string_view option, const std::string& path, std::string& pem) {
  if (path.empty()) return absl::OkStatus();
  absl::StatusOr<std::string> bytes = ReadFile(path, kMaxPemBytes);
  if (!bytes.ok()) return FieldError(option, std::string(bytes.status().message()));
  pem = *std::move(bytes);
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> Credentials(
    const Client::Options& options) {
  if (options.tls_cert.empty() != options.tls_key.empty()) {
    return FieldError(options.tls_cert.empty() ? "tls-cert" : "tls-key",
                      "a client certificate and its key are needed together");
  }
  if (!options.tls && options.tls_ca.empty() && options.tls_cert.empty()) {
    return grpc::InsecureChannelCredentials();
  }
  grpc::SslCredentialsOptions ssl;
  DDPT_RETURN_IF_ERROR(ReadPem("tls-ca", options.tls_ca, ssl.pem_root_certs));
  DDPT_RETURN_IF_ERROR(ReadPem("tls-cert", options.tls_cert, ssl.pem_cert_chain));
  DDPT_RETURN_IF_ERROR(ReadPem("tls-key", options.tls_key, ssl.pem_private_key));
  return grpc::SslCredentials(ssl);
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::Channel>> CreateChannel(const Client::Options& options) {
  DDPT_ASSIGN_OR_RETURN(auto credentials, Credentials(options));
  grpc::ChannelArguments arguments;
  arguments.SetLoadBalancingPolicyName("round_robin");
  arguments.SetMaxReceiveMessageSize(options.max_message_bytes);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMillis);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMillis);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 5000);
  return grpc::CreateCustomChannel(options.target, credentials, arguments);
}

}  // namespace ddpt
