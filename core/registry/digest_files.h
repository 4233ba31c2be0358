#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace ddpt {

// What stores of files named <SHA-256><suffix>, written by WriteFileAtomic, share.

// Whether `text` is a SHA-256 in lower-case hexadecimal.
bool IsDigest(std::string_view text);

// FieldError of `field` where `text` is none.
absl::Status CheckDigest(std::string_view field, std::string_view text);

// The digest in the name of a file that such a store may have written, the temporary name that a
// crash leaves of one among them; "" for any other name.
std::string DigestOfFile(std::string_view name, std::string_view suffix);

// Creates a folder and those above it where they are missing. Blocks on the file system.
// RESOURCE_EXHAUSTED for a full disk, else UNAVAILABLE; both name the path.
absl::Status CreateFolder(const std::string& path);

}  // namespace ddpt
