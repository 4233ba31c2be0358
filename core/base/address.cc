#include "core/base/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace ddpt {

absl::StatusOr<std::pair<std::string, uint16_t>> SplitAddress(std::string_view setting,
                                                              std::string_view address) {
  const size_t colon = address.rfind(':');
  uint32_t port = 0;
  if (colon == 0 || colon == address.npos || colon + 1 == address.size() ||
      !absl::SimpleAtoi(Piece(address.substr(colon + 1)), &port) || port > 65535) {
    return FieldError(
        setting, absl::StrCat("\"", Piece(address), "\" is not HOST:PORT with a port in 0..65535"));
  }
  return std::make_pair(std::string(address.substr(0, colon)), static_cast<uint16_t>(port));
}

bool IsLoopback(std::string_view host) {
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  if (host == "localhost") return true;
  const std::string text(host);
  in_addr four{};
  if (inet_pton(AF_INET, text.c_str(), &four) == 1) return ntohl(four.s_addr) >> 24 == 127;
  in6_addr six{};
  return inet_pton(AF_INET6, text.c_str(), &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

}  // namespace ddpt
