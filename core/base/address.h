#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"

namespace ddpt {

// "HOST:PORT" or "[V6]:PORT" in its two parts; the errors call it `setting`.
absl::StatusOr<std::pair<std::string, uint16_t>> SplitAddress(std::string_view setting,
                                                              std::string_view address);

// Whether only this machine reaches `host`: localhost, 127.0.0.0/8, or ::1 with or without its
// brackets. Looks no name up.
bool IsLoopback(std::string_view host);

}  // namespace ddpt
