#include "server/http.h"

#include <CivetServer.h>

#include <chrono>
#include <future>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "server/config.h"

namespace ddpt {
namespace {

constexpr std::chrono::milliseconds kKnockEvery{5};

struct Reply {
  int code = 200;
  std::string type = "text/plain; charset=utf-8";
  std::string body;
};

class Handler : public CivetHandler {
 public:
  explicit Handler(std::function<Reply()> reply) : reply_(std::move(reply)) {}

  bool handleGet(CivetServer*, mg_connection* connection) override {
    const Reply reply = reply_();
    const std::string text =
        absl::StrCat("HTTP/1.1 ", reply.code, reply.code == 200 ? " OK" : " Service Unavailable",
                     "\r\nContent-Type: ", reply.type, "\r\nContent-Length: ", reply.body.size(),
                     "\r\nConnection: close\r\n\r\n", reply.body);
    mg_write(connection, text.data(), text.size());
    return true;
  }

 private:
  const std::function<Reply()> reply_;
};

// What civetweb complained of on this thread: its exceptions do not say why.
thread_local std::string complaints;

int Complain(const mg_connection*, const char* message) {
  absl::StrAppend(&complaints, ": ", message);
  return 1;
}

// Connects and leaves.
void Knock(const std::string& address) {
  const auto parts = SplitAddress("metrics-listen", address);
  if (!parts.ok()) return;
  char error[128];
  mg_connection* visit =
      mg_connect_client(parts->first.c_str(), parts->second, /*use_ssl=*/0, error, sizeof(error));
  if (visit != nullptr) mg_close_connection(visit);
}

}  // namespace

struct HttpEndpoint::Impl {
  explicit Impl(const Options& given)
      : options(given),
        metrics([this] {
          return Reply{200, "text/plain; version=0.0.4; charset=utf-8", options.metrics()};
        }),
        health([] {
          return Reply{200, "text/plain; charset=utf-8", "ok\n"};
        }),
        ready([this] {
          const absl::Status status = options.ready();
          if (status.ok()) return Reply{200, "text/plain; charset=utf-8", "ready\n"};
          return Reply{503, "text/plain; charset=utf-8", absl::StrCat(status.message(), "\n")};
        }) {}

  const Options options;
  Handler metrics;
  Handler health;
  Handler ready;
  std::unique_ptr<CivetServer> server;
};

HttpEndpoint::HttpEndpoint(std::unique_ptr<Impl> impl, std::string address)
    : impl_(std::move(impl)), address_(std::move(address)) {}

// The thread that listens notices the stop when somebody connects, else within two seconds.
HttpEndpoint::~HttpEndpoint() {
  const auto closed = std::async(std::launch::async, [this] { impl_->server->close(); });
  do {
    Knock(address_);
  } while (closed.wait_for(kKnockEvery) != std::future_status::ready);
}

absl::StatusOr<std::unique_ptr<HttpEndpoint>> HttpEndpoint::Create(const Options& options) {
  DDPT_ASSIGN_OR_RETURN(const auto parts, SplitAddress("metrics-listen", options.address));
  auto impl = std::make_unique<Impl>(options);
  const std::string host = parts.first == "localhost" ? "127.0.0.1" : parts.first;
  const std::vector<std::string> settings = {
      "listening_ports",    absl::StrCat(host, ":", parts.second),
      "num_threads",        "4",
      "request_timeout_ms", "10000"};
  CivetCallbacks callbacks;
  callbacks.log_message = Complain;
  complaints.clear();
  try {
    impl->server = std::make_unique<CivetServer>(settings, &callbacks);
  } catch (const CivetException&) {
    return absl::UnavailableError(
        absl::StrCat("metrics-listen: cannot listen on ", options.address, complaints));
  }
  impl->server->addHandler("/metrics$", impl->metrics);
  impl->server->addHandler("/healthz$", impl->health);
  impl->server->addHandler("/readyz$", impl->ready);
  const int port = impl->server->getListeningPorts().front();
  return std::unique_ptr<HttpEndpoint>(
      new HttpEndpoint(std::move(impl), absl::StrCat(parts.first, ":", port)));
}

}  // namespace ddpt
