#include "client/channel.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include "absl/strings/str_cat.h"
#include "core/base/certificate.h"
#include "core/base/file.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

constexpr uint64_t kMaxPemBytes = 1 << 20;
constexpr int kKeepaliveMillis = 60'000;
constexpr int kKeepaliveTimeoutMillis = 20'000;

bool UsesTls(const Client::Options& options) {
  return options.tls || !options.tls_ca.empty() || !options.tls_cert.empty() ||
         !options.tls_server_name.empty();
}

absl::StatusOr<PemFile> ReadPem(std::string_view option, const std::string& path) {
  if (path.empty()) return PemFile();
  absl::StatusOr<std::string> bytes = ReadFile(path, kMaxPemBytes);
  if (!bytes.ok()) return FieldError(option, std::string(bytes.status().message()));
  return PemFile{.path = path, .text = *std::move(bytes)};
}

absl::Status Checked(std::string_view option, const absl::Status& status) {
  return status.ok() ? status : FieldError(option, std::string(status.message()));
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> Credentials(
    const Client::Options& options) {
  if (options.tls_cert.empty() != options.tls_key.empty()) {
    return FieldError(options.tls_cert.empty() ? "tls-cert" : "tls-key",
                      "a client certificate and its key are needed together");
  }
  if (!UsesTls(options)) return grpc::InsecureChannelCredentials();
  DDPT_ASSIGN_OR_RETURN(const PemFile authorities, ReadPem("tls-ca", options.tls_ca));
  DDPT_ASSIGN_OR_RETURN(const PemFile certificate, ReadPem("tls-cert", options.tls_cert));
  DDPT_ASSIGN_OR_RETURN(const PemFile key, ReadPem("tls-key", options.tls_key));
  if (!options.tls_ca.empty()) {
    DDPT_RETURN_IF_ERROR(Checked("tls-ca", CheckAuthorities(authorities)));
  }
  if (!options.tls_cert.empty()) {
    DDPT_RETURN_IF_ERROR(Checked("tls-cert", CheckCertificate(certificate)));
    DDPT_RETURN_IF_ERROR(Checked("tls-key", CheckKey(key, certificate)));
  }
  return grpc::SslCredentials({.pem_root_certs = authorities.text,
                               .pem_private_key = key.text,
                               .pem_cert_chain = certificate.text});
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
  if (!options.tls_server_name.empty()) {
    arguments.SetSslTargetNameOverride(options.tls_server_name);
  }
  return grpc::CreateCustomChannel(options.target, credentials, arguments);
}

}  // namespace ddpt
