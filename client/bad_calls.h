#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/client.h"

namespace ddpt {

// A call that a server must refuse by `code`, with a field whose path begins with `field`.
struct BadCall {
  std::string what;
  absl::StatusCode code;
  std::string field;
  std::function<absl::Status(Client&)> call;
};

// Names out of form, numbers out of range, tensors that promise more than they bring. `task` is one
// that the server has; with `has_model` also those of Generate.
std::vector<BadCall> BadCalls(const std::string& task, bool has_model);

}  // namespace ddpt
