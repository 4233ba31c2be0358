#pragma once

#include <string>

#include "absl/status/status.h"
#include "core/registry/registry.h"
#include "server/config.h"
#include "server/task_catalog.h"

namespace ddpt {

// Imports denoiser files at start; both block. Errors name the file.

// As the setting says. A file that the task has already stays as it is: what was promoted since is
// not undone.
absl::Status ImportTask(const TaskImport& import, const Registry& registry, TaskCatalog& catalog);

// The tasks that come with a model are files in its folder `tasks`; what has been made of a task
// since, its deletion apart, is left alone.
absl::Status ImportModelTasks(const std::string& model_directory, const Registry& registry,
                              TaskCatalog& catalog);

}  // namespace ddpt
