#include "client/bench_model.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <chrono>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/model/codet5p_config.h"
#include "core/model/codet5p_model.h"
#include "core/model/load.h"
#include "core/model/random_weights.h"

namespace ddpt {
namespace {

Codet5pConfig EmbeddedGeometry() {
  Codet5pConfig config;
  config.encoder = {.width = 128, .layers = 3, .heads = 4, .rotary_dim = 16, .inner = 512};
  config.decoder = {.width = 192, .layers = 4, .heads = 4, .rotary_dim = 16, .inner = 768};
  config.vocabulary_size = 768;
  config.max_positions = 1024;
  return config;
}

absl::StatusOr<BenchModel> RandomModel(const BenchModelOptions& options) {
  if (options.device != "cpu") {
    return FieldError("device", absl::StrCat(options.device, " needs a model"));
  }
  const Codet5pConfig config = EmbeddedGeometry();
  StateDict weights = RandomCodet5pWeights(config, /*seed=*/0);
  if (options.dtype == ModelDtype::kBFloat16) {
    for (auto& [name, weight] : weights) weight = weight.to(at::kBFloat16);
  } else if (options.dtype != ModelDtype::kFloat32) {
    return FieldError("dtype",
                      absl::StrCat(Piece(ModelDtypeName(options.dtype)), " needs a model"));
  }
  BenchModel made{.shapes = ShapesOf(weights)};
  DDPT_ASSIGN_OR_RETURN(made.model, CreateCodet5pModel(config, weights));
  return made;
}

bool IsInput(const std::string& name) {
  return absl::StartsWith(name, "enc") || absl::StrContains(name, "crossattention.qkv_proj") ||
         absl::StrContains(name, "EncDecAttention.k.") ||
         absl::StrContains(name, "EncDecAttention.v.");
}

}  // namespace

absl::StatusOr<BenchModel> OpenBenchModel(const BenchModelOptions& options) {
  DDPT_RETURN_IF_ERROR(CheckWithin("threads", options.threads, 256));
  at::set_num_threads(static_cast<int>(options.threads));
  if (options.model.empty()) return RandomModel(options);
  const auto start = std::chrono::steady_clock::now();
  const LoadOptions load{.dtype = options.dtype, .device = options.device};
  DDPT_ASSIGN_OR_RETURN(const ModelInspection inspection, InspectModel(options.model, load));
  BenchModel loaded{.shapes = inspection.shapes};
  DDPT_ASSIGN_OR_RETURN(loaded.model, LoadLanguageModel(options.model, load));
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
  loaded.load_seconds = time.count();
  return loaded;
}

absl::Status CheckWithin(const char* name, size_t value, size_t limit) {
  if (value >= 1 && value <= limit) return absl::OkStatus();
  return FieldError(name, absl::StrCat(value, " is outside 1..", limit));
}

std::vector<uint32_t> BenchIds(const ModelGeometry& geometry, size_t row, size_t tokens) {
  std::vector<uint32_t> ids;
  for (size_t i = 0; i < tokens; ++i) ids.push_back((row * 31 + i * 7) % geometry.vocabulary_size);
  return ids;
}

TokenWeights CountTokenWeights(const TensorShapes& shapes, const ModelGeometry& geometry) {
  TokenWeights weights;
  weights.tied = !shapes.contains("lm_head.weight") && shapes.contains("shared.weight");
  for (const auto& [name, shape] : shapes) {
    const bool head =
        absl::StrContains(name, "lm_head") || (weights.tied && name == "shared.weight");
    if (shape.size() != 2 || (!head && !IsMatrix(name, shape))) continue;
    const double elements = static_cast<double>(shape[0]) * static_cast<double>(shape[1]);
    if (head) {
      weights.head += elements;
    } else if (IsInput(name)) {
      weights.input += elements;
    } else {
      weights.output += elements;
      const bool behind =
          geometry.family == "t5" || absl::StrContains(name, "crossattention.out_proj");
      if (behind) weights.after_prompt += elements;
    }
  }
  return weights;
}

AttentionWork CountAttention(const ModelGeometry& geometry) {
  const double encoder = static_cast<double>(geometry.encoder.width * geometry.encoder.layers);
  const double decoder = static_cast<double>(geometry.decoder.width * geometry.decoder.layers);
  const double cross =
      geometry.family == "t5" ? decoder : static_cast<double>(geometry.decoder.width);
  return {2 * encoder, 2 * decoder, 2 * cross};
}

}  // namespace ddpt
