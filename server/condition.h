#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/stop_token.h"
#include "core/tuning/attributes.h"

namespace ddpt {

// An instruction as callers give it.
struct Instruction {
  std::string text;
  std::vector<uint32_t> ids;  // instead of the text, where has_ids
  bool has_ids = false;
  Attributes attributes = {};  // checked

  bool empty() const { return has_ids ? ids.empty() : text.empty(); }
};

// An instruction as a conditional denoiser sees it.
struct Condition {
  std::vector<float> values;  // [C]
  std::string digest;         // 16 raw bytes that tell instructions with their attributes apart
};

// Makes the condition of an instruction on a worker and calls back there, once. Does not block.
using ConditionEncoder =
    std::function<void(Instruction, StopToken, std::function<void(absl::StatusOr<Condition>)>)>;

}  // namespace ddpt
