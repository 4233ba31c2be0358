#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/client.h"

namespace ddpt {

// The events of a job, at least one, up to its present state: a job that runs is not waited for.
absl::StatusOr<std::vector<v1::JobEvent>> EventsSoFar(Client& client, const std::string& job_id);

}  // namespace ddpt
