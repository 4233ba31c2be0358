#include "client/http_get.h"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

constexpr size_t kMaxBytes = 16 << 20;

class Socket {
 public:
  explicit Socket(int descriptor) : descriptor_(descriptor) {}
  ~Socket() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

absl::StatusOr<std::unique_ptr<Socket>> Connect(const std::string& address,
                                                std::chrono::milliseconds timeout) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos) return FieldError("metrics", address + " is not HOST:PORT");
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(address.substr(0, colon).c_str(), address.substr(colon + 1).c_str(), &hints,
                  &found) != 0) {
    return absl::UnavailableError(absl::StrCat(address, ": no such host"));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(found, &freeaddrinfo);
  const timeval limit{.tv_sec = timeout.count() / 1000, .tv_usec = timeout.count() % 1000 * 1000};
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    auto result = std::make_unique<Socket>(socket(entry->ai_family, SOCK_STREAM, 0));
    setsockopt(result->get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(result->get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (connect(result->get(), entry->ai_addr, entry->ai_addrlen) == 0) return result;
  }
  return absl::UnavailableError(absl::StrCat(address, ": nobody answers"));
}

}  // namespace

absl::StatusOr<std::string> HttpGet(const std::string& address, const std::string& path,
                                    std::chrono::milliseconds timeout) {
  DDPT_ASSIGN_OR_RETURN(const auto socket, Connect(address, timeout));
  const std::string request =
      absl::StrCat("GET ", path, " HTTP/1.0\r\nHost: ", address, "\r\nConnection: close\r\n\r\n");
  if (send(socket->get(), request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size())) {
    return absl::UnavailableError(absl::StrCat(address, ": the request was not taken"));
  }
  std::string answer;
  char buffer[16384];
  ssize_t got = 0;
  while ((got = recv(socket->get(), buffer, sizeof buffer, 0)) > 0 && answer.size() < kMaxBytes) {
    answer.append(buffer, static_cast<size_t>(got));
  }
  const size_t body = answer.find("\r\n\r\n");
  if (got < 0 || body == std::string::npos) {
    return absl::UnavailableError(absl::StrCat(address, path, ": the answer is incomplete"));
  }
  const std::string status = answer.substr(0, answer.find("\r\n"));
  if (!absl::StrContains(status, " 200")) {
    return absl::InternalError(absl::StrCat(address, path, ": ", status));
  }
  return answer.substr(body + 4);
}

}  // namespace ddpt
