#pragma once

#include <memory>
#include <ostream>

#include "absl/status/statusor.h"
#include "client/client.h"

namespace ddpt {

// One run of the `ddpt` command: where it writes, its global settings, and how it ended. Commands
// put what was asked for on `out` and everything else (progress, receipts, errors) on `err`. Not
// thread-safe.
struct Session {
  std::ostream& out;
  std::ostream& err;
  // Whether `err` is a terminal: progress bars instead of lines.
  bool terminal = false;

  Client::Options connection = {};
  // One JSON value on `out`: a response in protobuf's JSON mapping with the field names of the
  // contract (64-bit integers are strings there), or what the command's help says.
  bool json = false;
  // Of the command that ran.
  absl::Status status = {};

  absl::StatusOr<std::unique_ptr<Client>> Connect() const { return Client::Create(connection); }
};

}  // namespace ddpt
