#include "core/model/load.h"

#include <ATen/Context.h>
#include <ATen/DeviceAccelerator.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/device.h"
#include "core/base/file.h"
#include "core/base/memory.h"
#include "core/base/status.h"
#include "core/model/codet5p_config.h"
#include "core/model/codet5p_model.h"
#include "core/model/state_dict.h"
#include "core/model/t5_config.h"
#include "core/model/t5_model.h"

namespace ddpt {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxConfigBytes = 1 << 20;

absl::StatusOr<std::string> ModelType(const std::string& json, const std::string& path) {
  const auto root = nlohmann::json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!root.is_object() || !root.contains("model_type") || !root["model_type"].is_string()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": is no JSON object with a model_type"));
  }
  return root["model_type"].get<std::string>();
}

absl::Status CheckOptions(const LoadOptions& options) {
  DDPT_ASSIGN_OR_RETURN(const int index, ParseDevice(options.device));
  if (options.dtype == ModelDtype::kFloat16 && index == kCpu) {
    return FieldError("dtype", "float16 needs a GPU; the processor takes float32, bfloat16, int8");
  }
  const size_t devices = at::hasCUDA() ? at::detail::getCUDAHooks().deviceCount() : 0;
  if (index == kCpu || static_cast<size_t>(index) < devices) return absl::OkStatus();
  return FieldError("device", absl::StrCat(options.device, " is not one of ", devices, " GPUs"));
}

bool IsBelow(const fs::path& path, const fs::path& folder) {
  return std::mismatch(folder.begin(), folder.end(), path.begin(), path.end()).first ==
         folder.end();
}

// No file of the directory may lead out of it, but into the folder `blobs` of Hugging Face's cache,
// whose snapshots are links to there.
absl::Status CheckLinks(const std::string& directory) {
  std::error_code error;
  const fs::path root = fs::canonical(directory, error);
  if (error) return absl::OkStatus();  // whoever reads it has the better words
  const fs::path blobs = root.parent_path().parent_path() / "blobs";
  for (const fs::directory_entry& entry : fs::directory_iterator(root, error)) {
    if (!entry.is_symlink(error)) continue;
    const fs::path target = fs::weakly_canonical(entry.path(), error);
    if (!error && (IsBelow(target, root) || IsBelow(target, blobs))) continue;
    return absl::InvalidArgumentError(absl::StrCat(directory, "/", entry.path().filename().string(),
                                                   ": is a link out of the directory, to ",
                                                   target.string()));
  }
  return absl::OkStatus();
}

// The directory's name, as given and with links followed; of a snapshot in Hugging Face's cache the
// repository's, too.
std::string CheckpointNames(const std::string& directory) {
  std::error_code error;
  const fs::path real = fs::canonical(directory, error), parent = real.parent_path();
  std::string names =
      absl::StrCat(fs::path(directory).filename().string(), " ", real.filename().string());
  if (parent.filename() == "snapshots") {
    absl::StrAppend(&names, " ", parent.parent_path().filename().string());
  }
  return names;
}

absl::Status SetHabits(const std::string& name, Habits* habits) {
  if (name.empty()) return absl::OkStatus();
  DDPT_ASSIGN_OR_RETURN(*habits, FindHabits(name));
  return absl::OkStatus();
}

std::optional<uint64_t> FreeBytes(const std::string& device) {
  const int index = ParseDevice(device).value();
  if (index == kCpu) return FreeMemory();
  return at::accelerator::getMemoryInfo(static_cast<c10::DeviceIndex>(index)).first;
}

// What a config.json calls for.
struct Blueprint {
  ModelGeometry geometry;
  TensorShapes shapes;
  IsIgnored ignored;
  std::string salt;  // the configuration as it enters the digest
  std::function<absl::StatusOr<std::shared_ptr<const LanguageModel>>(StoredWeights)> create;
};

absl::StatusOr<Blueprint> Codet5pBlueprint(const std::string& directory, const std::string& json,
                                           const std::string& path, const std::string& habits) {
  DDPT_ASSIGN_OR_RETURN(Codet5pConfig config, ParseCodet5pConfig(json, path));
  const Habits of_directory = ParallelHabits(CheckpointNames(directory));
  if (of_directory.name != ParallelHabits("").name) config.habits = of_directory;
  DDPT_RETURN_IF_ERROR(SetHabits(habits, &config.habits));
  return Blueprint{Codet5pGeometry(config), Codet5pTensorShapes(config), IsIgnoredCodet5pTensor,
                   Codet5pConfigJson(config), [config](StoredWeights weights) {
                     return CreateCodet5pModel(config, weights.tensors, std::move(weights.digest));
                   }};
}

absl::StatusOr<Blueprint> T5Blueprint(const std::string& json, const std::string& path,
                                      const std::string& habits) {
  DDPT_ASSIGN_OR_RETURN(T5Config config, ParseT5Config(json, path));
  DDPT_RETURN_IF_ERROR(SetHabits(habits, &config.habits));
  return Blueprint{T5Geometry(config), T5TensorShapes(config),
                   [config](std::string_view name) { return IsIgnoredT5Tensor(config, name); },
                   T5ConfigJson(config),
                   [config](StoredWeights weights) {
                     return CreateT5Model(config, weights.tensors, std::move(weights.digest));
                   }};
}

absl::StatusOr<Blueprint> ReadBlueprint(const std::string& directory, const LoadOptions& options) {
  DDPT_RETURN_IF_ERROR(CheckOptions(options));
  DDPT_RETURN_IF_ERROR(CheckLinks(directory));
  const std::string path = directory + "/config.json";
  DDPT_ASSIGN_OR_RETURN(const std::string json, ReadFile(path, kMaxConfigBytes));
  const absl::StatusOr<std::string> type = ModelType(json, path);
  if (!type.ok()) return type.status();
  if (*type == "codet5p") return Codet5pBlueprint(directory, json, path, options.habits);
  if (*type == "t5") return T5Blueprint(json, path, options.habits);
  return absl::InvalidArgumentError(
      absl::StrCat(path, ": model_type: \"", *type, "\" is not one of \"codet5p\", \"t5\""));
}

}  // namespace

absl::StatusOr<std::shared_ptr<const LanguageModel>> LoadLanguageModel(const std::string& directory,
                                                                       const LoadOptions& options) {
  DDPT_ASSIGN_OR_RETURN(const Blueprint model, ReadBlueprint(directory, options));
  DDPT_ASSIGN_OR_RETURN(StoredWeights weights,
                        ReadWeights(directory, model.shapes, model.ignored, options, model.salt));
  return model.create(std::move(weights));
}

absl::StatusOr<ModelInspection> InspectModel(const std::string& directory,
                                             const LoadOptions& options) {
  DDPT_ASSIGN_OR_RETURN(const Blueprint model, ReadBlueprint(directory, options));
  DDPT_ASSIGN_OR_RETURN(const WeightsCheck weights,
                        CheckWeights(directory, model.shapes, model.ignored, options));
  ModelInspection inspection{model.geometry, model.shapes, weights.stored_bytes,
                             FreeBytes(options.device)};
  inspection.geometry.dtype = weights.dtype;
  inspection.geometry.device = options.device;
  return inspection;
}

absl::StatusOr<std::string> DigestModel(const std::string& directory) {
  DDPT_ASSIGN_OR_RETURN(const Blueprint model, ReadBlueprint(directory, {}));
  return DigestWeights(directory, model.shapes, model.ignored, model.salt);
}

}  // namespace ddpt
