#include "server/http.h"

#include <microhttpd.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/address.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

constexpr unsigned kThreads = 2;
constexpr unsigned kMaxConnections = 64;
constexpr unsigned kIdleSeconds = 10;
constexpr int kBacklog = 64;

struct Reply {
  unsigned code = MHD_HTTP_OK;
  std::string body;
  const char* type = "text/plain; charset=utf-8";
};

Reply ReadyReply(const absl::Status& status) {
  if (status.ok()) return {.body = "ready\n"};
  return {.code = MHD_HTTP_SERVICE_UNAVAILABLE, .body = absl::StrCat(status.message(), "\n")};
}

Reply Answer(const HttpEndpoint::Options& options, std::string_view method, std::string_view path) {
  if (method != MHD_HTTP_METHOD_GET && method != MHD_HTTP_METHOD_HEAD) {
    return {.code = MHD_HTTP_METHOD_NOT_ALLOWED, .body = "only GET and HEAD\n"};
  }
  if (path == "/healthz") return {.body = "ok\n"};
  if (path == "/readyz") return ReadyReply(options.ready());
  if (path == "/metrics") {
    return {.body = options.metrics(), .type = "text/plain; version=0.0.4; charset=utf-8"};
  }
  if (path == "/debug/state") return {.body = options.state(), .type = "application/json"};
  return {.code = MHD_HTTP_NOT_FOUND,
          .body = "there are /metrics, /healthz, /readyz, /debug/state\n"};
}

// What a connection asks for, answered once its headers are there; a body is not read.
MHD_Result Handle(void* options, MHD_Connection* connection, const char* url, const char* method,
                  const char*, const char*, size_t*, void**) {
  const Reply reply = Answer(*static_cast<const HttpEndpoint::Options*>(options), method, url);
  MHD_Response* response = MHD_create_response_from_buffer(
      reply.body.size(), const_cast<char*>(reply.body.data()), MHD_RESPMEM_MUST_COPY);
  if (response == nullptr) return MHD_NO;
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, reply.type);
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
  const MHD_Result queued = MHD_queue_response(connection, reply.code, response);
  MHD_destroy_response(response);
  return queued;
}

// A socket that listens on the first address of the host that can be had; -1, with errno, for none.
int Listen(const addrinfo* addresses) {
  for (const addrinfo* entry = addresses; entry != nullptr; entry = entry->ai_next) {
    const int listener = socket(entry->ai_family, entry->ai_socktype | SOCK_CLOEXEC, 0);
    if (listener < 0) continue;
    const int on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, entry->ai_addr, entry->ai_addrlen) == 0 && listen(listener, kBacklog) == 0) {
      return listener;
    }
    const int error = errno;
    close(listener);
    errno = error;
  }
  return -1;
}

// As Listen, of "HOST" or "[IPv6]"; an error says why not.
absl::StatusOr<int> ListenOn(const std::string& host, uint16_t port) {
  const bool bracketed = absl::StartsWith(host, "[") && absl::EndsWith(host, "]");
  const std::string name = bracketed             ? host.substr(1, host.size() - 2)
                           : host == "localhost" ? "127.0.0.1"
                                                 : host;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* addresses = nullptr;
  const int error = getaddrinfo(name.c_str(), absl::StrCat(port).c_str(), &hints, &addresses);
  if (error != 0) return absl::UnavailableError(gai_strerror(error));
  const int listener = Listen(addresses);
  const absl::Status failure = absl::UnavailableError(std::strerror(errno));
  freeaddrinfo(addresses);
  if (listener < 0) return failure;
  return listener;
}

uint16_t PortOf(int listener) {
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  getsockname(listener, reinterpret_cast<sockaddr*>(&bound), &size);
  return ntohs(bound.ss_family == AF_INET6
                   ? reinterpret_cast<const sockaddr_in6*>(&bound)->sin6_port
                   : reinterpret_cast<const sockaddr_in*>(&bound)->sin_port);
}

}  // namespace

struct HttpEndpoint::Impl {
  explicit Impl(Options given) : options(std::move(given)) {}
  ~Impl() {
    if (daemon != nullptr) MHD_stop_daemon(daemon);  // closes the listener, too
  }

  const Options options;
  MHD_Daemon* daemon = nullptr;
};

HttpEndpoint::HttpEndpoint(std::unique_ptr<Impl> impl, std::string address)
    : impl_(std::move(impl)), address_(std::move(address)) {}

HttpEndpoint::~HttpEndpoint() = default;

absl::StatusOr<std::unique_ptr<HttpEndpoint>> HttpEndpoint::Create(const Options& options) {
  DDPT_ASSIGN_OR_RETURN(const auto parts, SplitAddress("metrics-listen", options.address));
  const std::string where = absl::StrCat("metrics-listen: cannot listen on ", options.address);
  const auto listener = ListenOn(parts.first, parts.second);
  if (!listener.ok()) return Annotate(listener.status(), where);
  const uint16_t port = PortOf(*listener);
  auto impl = std::make_unique<Impl>(options);
  impl->daemon = MHD_start_daemon(MHD_USE_AUTO_INTERNAL_THREAD, 0, nullptr, nullptr, Handle,
                                  const_cast<Options*>(&impl->options), MHD_OPTION_LISTEN_SOCKET,
                                  *listener, MHD_OPTION_THREAD_POOL_SIZE, kThreads,
                                  MHD_OPTION_CONNECTION_LIMIT, kMaxConnections,
                                  MHD_OPTION_CONNECTION_TIMEOUT, kIdleSeconds, MHD_OPTION_END);
  if (impl->daemon == nullptr) {  // and it has closed the listener
    return absl::UnavailableError(absl::StrCat(where, ": no threads for it"));
  }
  return std::unique_ptr<HttpEndpoint>(
      new HttpEndpoint(std::move(impl), absl::StrCat(parts.first, ":", port)));
}

}  // namespace ddpt
