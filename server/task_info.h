#pragma once

#include <string>

#include "absl/status/status.h"
#include "core/registry/registry.h"
#include "ddpt/v1/task.pb.h"

namespace ddpt {

// Fills the message from the registry: the task and its newest 100 versions. Blocks on storage.
absl::Status FillTaskInfo(const Registry& registry, const std::string& task, v1::TaskInfo* info);

}  // namespace ddpt
