#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace ddpt {

struct RawCallOptions {
  std::string authorization = {};  // of the metadata; "": none
  std::chrono::milliseconds timeout{30'000};
  uint64_t most_answers =
      std::numeric_limits<uint64_t>::max();  // after which the call is cancelled
  bool compress = false;                     // by gzip
};

// The first answer to messages of bytes, none of which need be one; the status where the call did
// not end well. "" where it did without an answer.
absl::StatusOr<std::string> RawCall(const std::shared_ptr<grpc::Channel>& channel,
                                    const std::string& method,
                                    const std::vector<std::string>& requests,
                                    const RawCallOptions& options = {});

}  // namespace ddpt
