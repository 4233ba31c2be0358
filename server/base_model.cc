#include "server/base_model.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/digest.h"
#include "core/base/status.h"
#include "core/decoding/generator.h"
#include "core/decoding/request.h"
#include "core/decoding/self_test.h"
#include "core/model/load.h"
#include "core/tuning/prepared_examples.h"

namespace ddpt {
namespace {

namespace fs = std::filesystem;

constexpr char kEmbeddedName[] = "codet5p-tiny";
constexpr size_t kDigestBytes = 16;
// Of a GPU's free memory, the rest being for caches, activations and prompts.
constexpr double kShareForWeights = 0.8;

// Installed beside the program, or in the source tree of a program in build/NAME/bin.
constexpr const char* kEmbeddedPlaces[] = {"../share/ddpt/models", "models",
                                           "../../../deploy/models"};

std::string StackLine(const char* name, const ModelGeometry::Stack& stack) {
  return absl::StrFormat("  %s: %d layers of width %d, %d heads\n", name, stack.layers, stack.width,
                         stack.heads);
}

std::string GeometryLines(const ModelGeometry& geometry) {
  return StackLine("encoder", geometry.encoder) + StackLine("decoder", geometry.decoder) +
         absl::StrFormat("  vocabulary %d, %d positions, start token %d, end token %d\n",
                         geometry.vocabulary_size, geometry.max_positions, geometry.start_token,
                         geometry.end_token);
}

std::string HabitsLines(const ModelGeometry& geometry, const Tokenizer& tokenizer) {
  int64_t unused = 0;
  for (uint32_t id = 0; id < geometry.vocabulary_size; ++id) unused += !tokenizer.HasToken(id);
  const Habits& habits = geometry.habits;
  return absl::StrFormat(
      "  habits %s (%s): decoder prefix %s%s%s%s%s\n"
      "  %d rows of the vocabulary have no token and are never generated\n",
      habits.name, habits.source,
      habits.start_token || !habits.instruction_in_decoder ? "start token" : "",
      habits.start_token && habits.instruction_in_decoder ? " and " : "",
      habits.instruction_in_decoder ? "instruction" : "",
      habits.special_tokens ? ", special tokens in the encoder" : "",
      habits.spaces_as_tabs ? ", four spaces as a tab" : "", unused);
}

std::string MemoryLines(const ModelInspection& model) {
  std::string text = absl::StrFormat("  weights: %.3f GB as stored", 1e-9 * model.stored_bytes);
  for (const ModelDtype dtype : {ModelDtype::kFloat32, ModelDtype::kBFloat16, ModelDtype::kInt8}) {
    const uint64_t bytes = KeptBytes(model.shapes, dtype);
    absl::StrAppendFormat(&text, ", %.3f GB as %s", 1e-9 * bytes, ModelDtypeName(dtype));
    if (model.free_bytes) text += bytes < *model.free_bytes ? " (fits)" : " (does not fit)";
  }
  const ModelGeometry& geometry = model.geometry;
  absl::StrAppendFormat(&text, "\n  they would be kept as %s on %s", ModelDtypeName(geometry.dtype),
                        geometry.device);
  if (model.free_bytes)
    absl::StrAppendFormat(&text, ", which has %.1f GB free", 1e-9 * *model.free_bytes);
  return text + "\n";
}

std::string DigestOf(const std::vector<uint32_t>& ids, const std::vector<uint32_t>& attribute_ids) {
  constexpr uint32_t kNoId = 0xffffffff;
  Sha256 digest;
  const auto update = [&](uint32_t id) {
    const char bytes[] = {static_cast<char>(id), static_cast<char>(id >> 8),
                          static_cast<char>(id >> 16), static_cast<char>(id >> 24)};
    digest.Update({bytes, sizeof(bytes)});
  };
  std::ranges::for_each(ids, update);
  if (!attribute_ids.empty()) update(kNoId);
  std::ranges::for_each(attribute_ids, update);
  return digest.Finish().substr(0, kDigestBytes);
}

absl::StatusOr<Condition> Encode(const BaseModel& base, const std::vector<uint32_t>& ids,
                                 const std::vector<uint32_t>& attribute_ids) {
  const at::Tensor pooled =
      PooledCondition(*base.model, ids, attribute_ids).to(at::kCPU, at::kFloat).contiguous();
  const float* values = pooled.data_ptr<float>();
  return Condition{{values, values + pooled.numel()}, DigestOf(ids, attribute_ids)};
}

// Room for the weights and, beside them, for what requests need.
bool HasRoom(const absl::StatusOr<ModelInspection>& model) {
  if (!model.ok() || !model->free_bytes) return false;
  const auto kept = static_cast<double>(KeptBytes(model->shapes, model->geometry.dtype));
  return kept <= kShareForWeights * static_cast<double>(*model->free_bytes);
}

// The names in the configuration are valid. "auto" is the first GPU where there is one and it has
// room.
LoadOptions OptionsOf(const std::string& directory, const Config& config) {
  LoadOptions options{.dtype = ParseModelDtype(config.dtype).value(),
                      .device = config.device == "auto" ? "cuda:0" : config.device,
                      .habits = config.habits == "auto" ? "" : config.habits};
  if (config.device == "auto" && !HasRoom(InspectModel(directory, options))) options.device = "cpu";
  return options;
}

absl::StatusOr<std::unique_ptr<const Tokenizer>> LoadTokenizer(const std::string& directory,
                                                               const ModelGeometry& geometry) {
  return Tokenizer::Load(directory, {.spaces_as_tabs = geometry.habits.spaces_as_tabs});
}

}  // namespace

std::string ModelDirectory(const Config& config) {
  if (config.model == "none") return "";
  if (!config.model.empty()) return config.model;
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (const char* place : kEmbeddedPlaces) {
    const fs::path directory = (program / place / kEmbeddedName).lexically_normal();
    if (fs::exists(directory / "config.json", error)) return directory.string();
  }
  return "";
}

absl::StatusOr<std::shared_ptr<const BaseModel>> LoadBaseModel(
    const std::string& directory, const Config& config,
    const std::function<void(uint64_t done, uint64_t total)>& on_progress) {
  // Workers run side by side; each computes alone, which also fixes the order of sums.
  at::set_num_threads(1);
  LoadOptions options = OptionsOf(directory, config);
  options.on_progress = on_progress;
  auto base = std::make_shared<BaseModel>();
  base->directory = directory;
  base->name = fs::path(directory).lexically_normal().filename().string();
  DDPT_ASSIGN_OR_RETURN(base->model, LoadLanguageModel(directory, options));
  DDPT_ASSIGN_OR_RETURN(base->tokenizer, LoadTokenizer(directory, base->model->geometry()));
  return base;
}

absl::StatusOr<std::string> DescribeModel(const Config& config) {
  const std::string directory = ModelDirectory(config);
  if (directory.empty()) return "";
  DDPT_ASSIGN_OR_RETURN(const ModelInspection model,
                        InspectModel(directory, OptionsOf(directory, config)));
  const ModelGeometry& geometry = model.geometry;
  DDPT_ASSIGN_OR_RETURN(const auto tokenizer, LoadTokenizer(directory, geometry));
  DDPT_ASSIGN_OR_RETURN(const std::string digest, DigestModel(directory));
  return absl::StrFormat("model %s: family %s, %d parameters, digest %s\n", directory,
                         geometry.family, geometry.parameters, digest) +
         GeometryLines(geometry) + HabitsLines(geometry, *tokenizer) + MemoryLines(model);
}

absl::StatusOr<std::pair<std::string, bool>> SelfTestModel(const Config& config) {
  const std::string directory = ModelDirectory(config);
  if (directory.empty()) return absl::NotFoundError("model: there is none to test");
  DDPT_ASSIGN_OR_RETURN(const auto base, LoadBaseModel(directory, config));
  DDPT_ASSIGN_OR_RETURN(const SelfTestResult result, SelfTest(*base->model, *base->tokenizer));
  const ModelGeometry& geometry = base->model->geometry();
  return std::make_pair(
      absl::StrFormat("model %s (%s, habits %s): %.2f nats a token of 20 snippets, %.2f of their "
                      "tokens in disorder, %.2f by chance: %s\n",
                      directory, ModelDtypeName(geometry.dtype), geometry.habits.name, result.nll,
                      result.shuffled_nll, result.uniform_nll,
                      result.plausible ? "plausible"
                                       : "NOT PLAUSIBLE: weights, tokenizer and configuration are "
                                         "not of one model, or not read as they are meant, or the "
                                         "model is not used to such instructions"),
      result.plausible);
}

absl::Status WarmUp(const BaseModel& base) {
  PromptedRequest request;
  DDPT_ASSIGN_OR_RETURN(
      request.instruction_ids,
      EncodeInstruction(*base.tokenizer, base.model->geometry().habits, "add two numbers"));
  DecodingOptions options;
  options.max_new_tokens = 1;
  return Generate(base.model, base.tokenizer, request, options).status();
}

absl::StatusOr<std::vector<uint32_t>> InstructionIds(const BaseModel& base,
                                                     const Instruction& instruction) {
  const ModelGeometry& geometry = base.model->geometry();
  if (instruction.empty()) {
    return FieldError(instruction.has_ids ? "instruction_ids" : "instruction", "is empty");
  }
  std::vector<uint32_t> ids = instruction.ids;
  if (!instruction.has_ids) {
    DDPT_ASSIGN_OR_RETURN(ids,
                          EncodeInstruction(*base.tokenizer, geometry.habits, instruction.text));
  }
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < geometry.vocabulary_size) continue;
    return FieldError("instruction_ids",
                      absl::StrCat("id ", ids[i], " at ", i, " is outside the vocabulary of ",
                                   geometry.vocabulary_size));
  }
  if (ids.size() <= static_cast<size_t>(geometry.max_positions)) return ids;
  return FieldError(
      instruction.has_ids ? "instruction_ids" : "instruction",
      absl::StrCat(ids.size(), " tokens are above the model's limit of ", geometry.max_positions));
}

ConditionEncoder MakeConditionEncoder(std::shared_ptr<const BaseModel> base, StreamPool& pool) {
  return [base = std::move(base), &pool](
             const Instruction& instruction, StopToken stop,
             const std::function<void(absl::StatusOr<Condition>)>& done) {
    auto ids = InstructionIds(*base, instruction);
    if (!ids.ok()) return done(ids.status());
    auto attributes = EncodeAttributes(*base->model, *base->tokenizer, instruction.attributes);
    if (!attributes.ok()) {
      return done(FieldError("attributes", std::string(attributes.status().message())));
    }
    const absl::Status status =
        pool.Submit({.key = "condition",
                     .stop = std::move(stop),
                     .run =
                         [base, ids = *std::move(ids), of = *std::move(attributes), done](Stream&) {
                           done(Encode(*base, ids, of));
                           return Progress::kDone;
                         },
                     .on_error = done});
    if (!status.ok()) done(status);
  };
}

}  // namespace ddpt
