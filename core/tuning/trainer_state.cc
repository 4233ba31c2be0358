// Checkpoints of a Trainer: one safetensors file with the weights ("weight."), the tuner's state,
// the best weights so far ("best.") and their reference; then the CRC-32C of all that, four bytes.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <map>
#include <tuple>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/digest.h"
#include "core/base/safetensors.h"
#include "core/base/status.h"
#include "core/model/batch.h"
#include "core/tuning/trainer.h"

namespace ddpt {
namespace {

using Tensors = std::map<std::string, at::Tensor>;

void Collect(const std::string& prefix, const Tensors& tensors, Tensors* all) {
  for (const auto& [name, tensor] : tensors) {
    (*all)[absl::StrCat(prefix, ".", name)] = tensor.detach();
  }
}

std::string Sealed(std::string bytes) {
  const uint32_t checksum = Crc32c(bytes);
  return bytes.append(reinterpret_cast<const char*>(&checksum), sizeof checksum);
}

// What was sealed; DATA_LOSS where it is not that any more.
absl::StatusOr<std::string_view> Opened(std::string_view sealed) {
  uint32_t checksum = 0;
  if (sealed.size() >= sizeof checksum) {
    const std::string_view bytes = sealed.substr(0, sealed.size() - sizeof checksum);
    std::memcpy(&checksum, sealed.data() + bytes.size(), sizeof checksum);
    if (Crc32c(bytes) == checksum) return bytes;
  }
  return absl::DataLossError("training state: is damaged");
}

std::string Find(const SafetensorsFile& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  return found == file.metadata().end() ? "" : found->second;
}

}  // namespace

Tensors Trainer::StateTensors() const {
  Tensors all = tuner_->State();
  Collect("weight", network_.trained(), &all);
  if (!best_weights_.empty()) {
    Collect("best", best_weights_, &all);
    all["best_reference"] = best_reference_;
  }
  return all;
}

std::string Trainer::SaveState() const {
  std::map<std::string, Tensor> values;
  std::map<std::string, TensorToWrite> to_write;
  for (const auto& [name, tensor] : StateTensors()) {
    const Tensor& value = values[name] = FromTorch(tensor);
    to_write[name] = {.shape = value.shape, .data = value.data};
  }
  return Sealed(SerializeSafetensors(to_write, {{"identity", Identity()},
                                                {"step", absl::StrCat(step())},
                                                {"calmings", absl::StrCat(calmings_)},
                                                {"best_nll", absl::StrFormat("%a", best_nll_)}}));
}

absl::Status Trainer::RestoreState(std::string_view sealed) {
  DDPT_ASSIGN_OR_RETURN(const std::string_view bytes, Opened(sealed));
  DDPT_ASSIGN_OR_RETURN(const auto file, SafetensorsFile::Parse(bytes, "training state"));
  if (Find(*file, "identity") != Identity()) {
    return absl::InvalidArgumentError(
        "training state: is of another run: other options, data or model");
  }
  uint64_t steps = 0;
  int64_t calmings = 0;
  if (!absl::SimpleAtoi(Find(*file, "step"), &steps) ||
      !absl::SimpleAtoi(Find(*file, "calmings"), &calmings)) {
    return absl::InvalidArgumentError("training state: 'step' or 'calmings' is malformed");
  }
  const double best_nll = std::strtod(Find(*file, "best_nll").c_str(), nullptr);
  const at::NoGradGuard no_grad;
  const auto before = std::tuple(best_nll_, best_weights_, best_reference_);
  if (std::isfinite(best_nll)) {
    RememberBest(best_nll);
  } else {
    best_nll_ = std::numeric_limits<double>::infinity();
    best_weights_.clear();
  }
  const Tensors all = StateTensors();
  for (const auto& [name, tensor] : all) {
    const auto found = file->tensors().find(name);
    if (found == file->tensors().end() || found->second.shape != tensor.sizes().vec()) {
      std::tie(best_nll_, best_weights_, best_reference_) = before;
      return absl::InvalidArgumentError(
          absl::StrCat("training state: tensor '", name, "' is missing or of another shape"));
    }
  }
  for (const auto& [name, tensor] : all) {
    tensor.copy_(ToTorch(file->tensors().at(name).ToTensor(), "cpu"));
  }
  tuner_->set_steps(steps);
  calmings_ = calmings;
  return absl::OkStatus();
}

absl::Status Trainer::CalmDown(std::string_view bytes) {
  const int64_t before = calmings_;
  if (before >= kMostCalmings) {
    return absl::FailedPreconditionError(
        absl::StrCat("smaller steps have been tried ", before, " times"));
  }
  DDPT_RETURN_IF_ERROR(RestoreState(bytes));
  for (; calmings_ <= before; ++calmings_) tuner_->Calm();
  return absl::OkStatus();
}

}  // namespace ddpt
