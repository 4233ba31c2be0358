#include "server/base_model.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/digest.h"
#include "core/base/status.h"
#include "core/model/load.h"
#include "core/tuning/prepared_examples.h"

namespace ddpt {
namespace {

namespace fs = std::filesystem;

constexpr char kEmbeddedName[] = "codet5p-tiny";
constexpr size_t kDigestBytes = 16;

// Installed beside the program, or in the source tree of a program in build/NAME/bin.
constexpr const char* kEmbeddedPlaces[] = {"../share/ddpt/models", "models",
                                           "../../../deploy/models"};

std::string DigestOf(const std::vector<uint32_t>& ids) {
  Sha256 digest;
  for (const uint32_t id : ids) {
    const char bytes[] = {static_cast<char>(id), static_cast<char>(id >> 8),
                          static_cast<char>(id >> 16), static_cast<char>(id >> 24)};
    digest.Update({bytes, sizeof(bytes)});
  }
  return digest.Finish().substr(0, kDigestBytes);
}

absl::StatusOr<Condition> Encode(const BaseModel& base, const std::vector<uint32_t>& ids) {
  const at::Tensor pooled =
      PooledInstruction(*base.model, ids).to(at::kCPU, at::kFloat).contiguous();
  const float* values = pooled.data_ptr<float>();
  return Condition{{values, values + pooled.numel()}, DigestOf(ids)};
}

// Bytes that programs may still take, by the system's own estimate; 0 where it tells none.
double FreeMemory() {
  std::ifstream file("/proc/meminfo");
  std::string key, unit;
  double kilobytes = 0;
  while (file >> key >> kilobytes) {
    if (key == "MemAvailable:") return 1024 * kilobytes;
    std::getline(file, unit);
  }
  return 0;
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

absl::StatusOr<std::shared_ptr<const BaseModel>> LoadBaseModel(const std::string& directory,
                                                               const Config& config) {
  // Workers run side by side; each computes alone, which also fixes the order of sums.
  at::set_num_threads(1);
  LoadOptions options;
  options.dtype = config.dtype == "bfloat16" ? DataType::kBFloat16 : DataType::kFloat32;
  options.device = config.device == "auto" ? "cpu" : config.device;
  auto base = std::make_shared<BaseModel>();
  base->directory = directory;
  base->name = fs::path(directory).lexically_normal().filename().string();
  DDPT_ASSIGN_OR_RETURN(base->model, LoadLanguageModel(directory, options));
  const bool from_2b_up = base->model->geometry().instruction_in_decoder;
  DDPT_ASSIGN_OR_RETURN(base->tokenizer,
                        Tokenizer::Load(directory, {.spaces_as_tabs = from_2b_up}));
  return base;
}

absl::StatusOr<std::string> DescribeModel(const Config& config) {
  const std::string directory = ModelDirectory(config);
  if (directory.empty()) return "";
  DDPT_ASSIGN_OR_RETURN(const ModelInspection model, InspectModel(directory));
  const ModelGeometry& geometry = model.geometry;
  const auto stack = [](const ModelGeometry::Stack& of) {
    return absl::StrFormat("%d layers of width %d, %d heads", of.layers, of.width, of.heads);
  };
  const double wide = 4e-9 * static_cast<double>(geometry.parameters);
  std::string text = absl::StrFormat(
      "model %s: family %s, %d parameters\n"
      "  encoder: %s\n"
      "  decoder: %s\n"
      "  vocabulary %d, %d positions, start token %d, end token %d\n"
      "  weights: %.3f GB as stored, %.3f GB as float32, %.3f GB as bfloat16\n",
      directory, geometry.family, geometry.parameters, stack(geometry.encoder),
      stack(geometry.decoder), geometry.vocabulary_size, geometry.max_positions,
      geometry.start_token, geometry.end_token, 1e-9 * static_cast<double>(model.stored_bytes),
      wide, wide / 2);
  if (const double free = 1e-9 * FreeMemory(); free > 0) {
    absl::StrAppendFormat(&text, "  this machine has %.1f GB free: float32 %s, bfloat16 %s\n", free,
                          wide < free ? "fits" : "does not fit",
                          wide / 2 < free ? "fits" : "does not fit");
  }
  return text;
}

absl::StatusOr<std::vector<uint32_t>> InstructionIds(const BaseModel& base,
                                                     const Instruction& instruction) {
  const ModelGeometry& geometry = base.model->geometry();
  if (instruction.empty()) {
    return FieldError(instruction.has_ids ? "instruction_ids" : "instruction", "is empty");
  }
  std::vector<uint32_t> ids = instruction.ids;
  if (!instruction.has_ids) {
    DDPT_ASSIGN_OR_RETURN(ids, base.tokenizer->Encode(instruction.text, {.field = "instruction"}));
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
  return
      [base = std::move(base), &pool](const Instruction& instruction, StopToken stop,
                                      const std::function<void(absl::StatusOr<Condition>)>& done) {
        auto ids = InstructionIds(*base, instruction);
        if (!ids.ok()) return done(ids.status());
        const absl::Status status = pool.Submit({.key = "condition",
                                                 .stop = std::move(stop),
                                                 .run =
                                                     [base, ids = *std::move(ids), done](Stream&) {
                                                       done(Encode(*base, ids));
                                                       return Progress::kDone;
                                                     },
                                                 .on_error = done});
        if (!status.ok()) done(status);
      };
}

}  // namespace ddpt
