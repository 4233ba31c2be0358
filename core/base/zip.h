#pragma once

#include <map>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace ddpt {

// The entries of a zip archive by name, as views into `bytes`; zip64 too. Only what is stored as it
// is can be viewed: compressed or encrypted entries, archives in parts, entries that leave the
// bytes, repeated names and more than 1,000,000 entries are INVALID_ARGUMENT, naming the entry.
// Checksums are not looked at. Pure, thread-safe.
absl::StatusOr<std::map<std::string, std::string_view>> ReadStoredZip(std::string_view bytes);

}  // namespace ddpt
