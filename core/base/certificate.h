#pragma once

#include <string>

#include "absl/status/status.h"

namespace ddpt {

// A PEM text, and the name of its file for errors.
struct PemFile {
  std::string path;
  std::string text;
};

// Checks of what TLS is given, before it is: TLS itself refuses connections without saying why.
// INVALID_ARGUMENT names the file and tells none of its text.

// The first certificate can be read, and is valid now.
absl::Status CheckCertificate(const PemFile& certificate);
// `key` is a private key without a password, of the first certificate in `certificate`.
absl::Status CheckKey(const PemFile& key, const PemFile& certificate);
// There is a certificate of an authority; whether it is valid is for the connections to see.
absl::Status CheckAuthorities(const PemFile& authorities);

}  // namespace ddpt
