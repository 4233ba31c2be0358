#include "core/model/load.h"

#include <ATen/Context.h>

#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/model/codet5p_config.h"
#include "core/model/codet5p_model.h"
#include "core/model/state_dict.h"

namespace ddpt {
namespace {

constexpr uint64_t kMaxConfigBytes = 1 << 20;

absl::StatusOr<std::string> ModelType(const std::string& json, const std::string& path) {
  const auto root = nlohmann::json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!root.is_object() || !root.contains("model_type") || !root["model_type"].is_string()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": is no JSON object with a model_type"));
  }
  return root["model_type"].get<std::string>();
}

absl::Status CheckOptions(const LoadOptions& options) {
  if (options.dtype == DataType::kFloat16) {
    return FieldError("dtype", "float16 is not one of float32, bfloat16");
  }
  if (options.device == "cpu") return absl::OkStatus();
  absl::string_view number = options.device;
  uint32_t index = 0;
  if (!absl::ConsumePrefix(&number, "cuda:") || !absl::SimpleAtoi(number, &index)) {
    return FieldError("device", absl::StrCat("\"", options.device, "\" is not cpu or cuda:N"));
  }
  const size_t devices = at::hasCUDA() ? at::detail::getCUDAHooks().deviceCount() : 0;
  if (index < devices) return absl::OkStatus();
  return FieldError("device", absl::StrCat(options.device, " is not one of ", devices, " GPUs"));
}

absl::StatusOr<std::shared_ptr<const LanguageModel>> LoadCodet5p(const std::string& directory,
                                                                 const Codet5pConfig& config,
                                                                 const LoadOptions& options) {
  DDPT_ASSIGN_OR_RETURN(StoredWeights weights, ReadWeights(directory, Codet5pTensorShapes(config),
                                                           options, Codet5pConfigJson(config)));
  return CreateCodet5pModel(config, weights.tensors, std::move(weights.digest));
}

}  // namespace

absl::StatusOr<std::shared_ptr<const LanguageModel>> LoadLanguageModel(const std::string& directory,
                                                                       const LoadOptions& options) {
  DDPT_RETURN_IF_ERROR(CheckOptions(options));
  const std::string path = directory + "/config.json";
  DDPT_ASSIGN_OR_RETURN(const std::string json, ReadFile(path, kMaxConfigBytes));
  DDPT_ASSIGN_OR_RETURN(const std::string type, ModelType(json, path));
  if (type == "codet5p") {
    DDPT_ASSIGN_OR_RETURN(const Codet5pConfig config, ParseCodet5pConfig(json, path));
    return LoadCodet5p(directory, config, options);
  }
  return absl::InvalidArgumentError(
      absl::StrCat(path, ": model_type: \"", type, "\" is not one of \"codet5p\""));
}

}  // namespace ddpt
