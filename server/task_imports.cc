#include "server/task_imports.h"

#include <algorithm>
#include <filesystem>

#include "core/base/digest.h"
#include "core/base/file.h"
#include "core/base/status.h"

namespace ddpt {

absl::Status ImportTask(const TaskImport& import, const Registry& registry, TaskCatalog& catalog) {
  DDPT_RETURN_IF_ERROR(CheckTaskName(import.task));
  DDPT_ASSIGN_OR_RETURN(const auto file, MappedFile::Open(import.path));
  const auto versions = registry.ListVersions(import.task);
  if (versions.ok()) {
    const std::string digest = Sha256Hex(file->bytes());
    const auto same = [&](const TaskVersion& version) { return version.digest == digest; };
    if (std::any_of(versions->begin(), versions->end(), same)) return absl::OkStatus();
  }
  return Annotate(catalog.Import(import.task, file->bytes(), Promotion::kAlways).status(),
                  import.path);
}

absl::Status ImportModelTasks(const std::string& model_directory, const Registry& registry,
                              TaskCatalog& catalog) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(model_directory + "/tasks", error)) {
    const std::filesystem::path& path = entry.path();
    if (path.extension() != ".safetensors") continue;
    const TaskImport import{path.stem().string(), path.string()};
    if (registry.GetTask(import.task).ok()) continue;
    DDPT_RETURN_IF_ERROR(Annotate(ImportTask(import, registry, catalog), "model"));
  }
  return absl::OkStatus();
}

}  // namespace ddpt
