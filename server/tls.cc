#include "server/tls.h"

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>

#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/certificate.h"
#include "core/base/status.h"
#include "nlohmann/json.hpp"
#include "server/watched_files.h"

namespace ddpt {
namespace {

// The files of one moment, which fit together.
struct Identity {
  PemFile certificate;
  PemFile key;
  PemFile authorities;  // of clients
};

// gRPC's own C++ credentials keep their first certificate, or, watching files themselves, take what
// does not fit together and refuse every connection from then on.
class ReloadingCredentials final : public grpc::ServerCredentials {
 public:
  ReloadingCredentials(const Config& config, const Log& log)
      : config_(config), log_(log), files_(Paths(config)) {}
  ~ReloadingCredentials() override {
    if (credentials_ != nullptr) grpc_server_credentials_release(credentials_);
  }

  absl::Status Open() {
    std::lock_guard lock(mutex_);
    DDPT_RETURN_IF_ERROR(Load());
    credentials_ = grpc_ssl_server_credentials_create_with_options(
        grpc_ssl_server_credentials_create_options_using_config_fetcher(
            config_.tls_client_ca.empty()
                ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY,
            &Fetch, this));
    return absl::OkStatus();
  }

  void SetAuthMetadataProcessor(const std::shared_ptr<grpc::AuthMetadataProcessor>&) override {}

 private:
  static std::vector<std::string> Paths(const Config& config) {
    std::vector<std::string> paths = {config.tls_cert, config.tls_key};
    if (!config.tls_client_ca.empty()) paths.push_back(config.tls_client_ca);
    return paths;
  }

  // gRPC asks before the first connection, and at each.
  static grpc_ssl_certificate_config_reload_status Fetch(
      void* credentials, grpc_ssl_server_certificate_config** config) {
    return static_cast<ReloadingCredentials*>(credentials)->Next(config);
  }

  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }

  grpc_ssl_certificate_config_reload_status Next(grpc_ssl_server_certificate_config** config) {
    std::lock_guard lock(mutex_);
    if (const absl::Status status = Load(); !status.ok()) {
      log_.Warn("certificate_not_reloaded", {{"message", std::string(status.message())}});
    }
    const auto identity = std::exchange(news_, std::nullopt);
    if (!identity) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    const grpc_ssl_pem_key_cert_pair pair = {identity->key.text.c_str(),
                                             identity->certificate.text.c_str()};
    *config =
        grpc_ssl_server_certificate_config_create(identity->authorities.text.c_str(), &pair, 1);
    log_.Info("certificate_loaded", {{"file", config_.tls_cert}});
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
  }

  absl::Status Load() {
    DDPT_ASSIGN_OR_RETURN(const auto texts, files_.Poll());
    if (!texts) return absl::OkStatus();
    // gRPC wants authorities, even where it asks clients for nothing and so never looks at them.
    const bool mutual = !config_.tls_client_ca.empty();
    Identity identity{.certificate = {config_.tls_cert, (*texts)[0]},
                      .key = {config_.tls_key, (*texts)[1]},
                      .authorities = {config_.tls_client_ca, (*texts)[mutual ? 2 : 0]}};
    DDPT_RETURN_IF_ERROR(Annotate(CheckCertificate(identity.certificate), "tls-cert"));
    DDPT_RETURN_IF_ERROR(Annotate(CheckKey(identity.key, identity.certificate), "tls-key"));
    DDPT_RETURN_IF_ERROR(Annotate(CheckAuthorities(identity.authorities), "tls-client-ca"));
    news_ = std::move(identity);
    return absl::OkStatus();
  }

  const Config config_;
  const Log& log_;
  WatchedFiles files_;
  grpc_server_credentials* credentials_ = nullptr;
  std::mutex mutex_;
  std::optional<Identity> news_;  // what gRPC has not been given yet; guarded by mutex_
};

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeCredentials(const Config& config,
                                                                         const Log& log) {
  if (config.tls_key.empty()) return grpc::InsecureServerCredentials();
  auto credentials = std::make_shared<ReloadingCredentials>(config, log);
  DDPT_RETURN_IF_ERROR(credentials->Open());
  return credentials;
}

}  // namespace ddpt
