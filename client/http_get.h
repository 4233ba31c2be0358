#pragma once

#include <chrono>
#include <string>

#include "absl/status/statusor.h"

namespace ddpt {

// The body of http://ADDRESS/PATH, ADDRESS being HOST:PORT, at most 16 MiB. Blocks at most
// `timeout` for each read or write. UNAVAILABLE names the address where nobody answers, INTERNAL
// the status where that is not 200.
absl::StatusOr<std::string> HttpGet(const std::string& address, const std::string& path,
                                    std::chrono::milliseconds timeout);

}  // namespace ddpt
