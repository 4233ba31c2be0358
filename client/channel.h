#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "client/client.h"

namespace grpc {
class Channel;
}

namespace ddpt {

// A channel for `options`: credentials from its files, round robin, keepalive, and no retries of
// gRPC's own beneath those of the client. INVALID_ARGUMENT names the option. Does not wait for a
// connection.
absl::StatusOr<std::shared_ptr<grpc::Channel>> CreateChannel(const Client::Options& options);

// The token to be sent over that channel, "" for none. INVALID_ARGUMENT where it would leave this
// machine in plain text.
absl::StatusOr<std::string> TokenFor(const Client::Options& options);

}  // namespace ddpt
