#pragma once

#include <grpcpp/security/server_credentials.h>

#include <memory>

#include "absl/status/statusor.h"
#include "server/config.h"
#include "server/log.h"

namespace ddpt {

// What the settings `tls-cert`, `tls-key` and `tls-client-ca` make of the port; plain text without
// them. The files are read again as connections come: one that is made a second after a file was
// replaced gets the new certificate; connections that are there stay. Files that do not fit
// together are not taken: the log says why, and the old ones go on. At the start that is an error,
// INVALID_ARGUMENT, which names setting and file. `log` and the credentials outlive the server.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeCredentials(const Config& config,
                                                                         const Log& log);

}  // namespace ddpt
