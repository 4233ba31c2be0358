#include "client/channel.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>
#include <chrono>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/address.h"
#include "core/base/certificate.h"
#include "core/base/file.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

constexpr uint64_t kMaxPemBytes = 1 << 20;
constexpr uint64_t kMaxTokenBytes = 4096;
constexpr std::chrono::seconds kLeastKeepalive{10};
constexpr int kKeepaliveTimeoutMillis = 20'000;

bool UsesTls(const Client::Options& options) {
  return options.tls || !options.tls_ca.empty() || !options.tls_cert.empty() ||
         !options.tls_server_name.empty();
}

// Whether what is sent to `target` stays on this machine. Of gRPC's names a list of addresses, and
// whatever else is not plainly of here, counts as elsewhere.
bool StaysHere(absl::string_view target) {
  if (absl::StartsWith(target, "unix:") || absl::StartsWith(target, "unix-abstract:")) return true;
  for (const absl::string_view scheme : {"dns:///", "dns:", "ipv4:", "ipv6:"}) {
    if (absl::ConsumePrefix(&target, scheme)) break;
  }
  const std::string text(target);
  const auto parts = SplitAddress("server", text);
  return IsLoopback(parts.ok() ? parts->first : text);
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
  if (options.keepalive < kLeastKeepalive) {
    return FieldError("keepalive",
                      absl::StrCat(options.keepalive.count(),
                                   " ms is below 10 s, more often than servers allow"));
  }
  DDPT_ASSIGN_OR_RETURN(auto credentials, Credentials(options));
  grpc::ChannelArguments arguments;
  arguments.SetLoadBalancingPolicyName("round_robin");
  // A server that drains says so before it closes its connections: it gets no more calls.
  arguments.SetServiceConfigJSON(R"({"healthCheckConfig": {"serviceName": ""}})");
  arguments.SetMaxReceiveMessageSize(options.max_message_bytes);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, static_cast<int>(options.keepalive.count()));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMillis);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 5000);
  if (!options.tls_server_name.empty()) {
    arguments.SetSslTargetNameOverride(options.tls_server_name);
  }
  return grpc::CreateCustomChannel(options.target, credentials, arguments);
}

absl::StatusOr<std::string> TokenFor(const Client::Options& options) {
  std::string token(absl::StripAsciiWhitespace(options.token));
  if (!options.token_file.empty()) {
    if (!token.empty()) return FieldError("token-file", "is given, and a token too");
    const auto text = ReadFile(options.token_file, kMaxTokenBytes);
    if (!text.ok()) return FieldError("token-file", std::string(text.status().message()));
    token = std::string(absl::StripAsciiWhitespace(text->substr(0, text->find('\n'))));
    if (token.empty()) {
      return FieldError("token-file", absl::StrCat(options.token_file, " begins with no token"));
    }
  }
  if (!std::ranges::all_of(
          token, [](char c) { return absl::ascii_isgraph(static_cast<unsigned char>(c)); })) {
    return FieldError("token", "has a space, or another character that no token has");
  }
  if (token.empty() || UsesTls(options) || StaysHere(options.target)) return token;
  return FieldError("token", absl::StrCat("is not sent to ", options.target,
                                          " in plain text; encrypt with --tls or --tls-ca"));
}

}  // namespace ddpt
