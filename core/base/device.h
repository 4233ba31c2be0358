#pragma once

#include <string_view>

#include "absl/status/statusor.h"

namespace ddpt {

// The number of a device: that of a GPU, or this one for the processor.
inline constexpr int kCpu = -1;

// The device that "cpu" or "cuda:N" names, whether it is there or not; else
// FieldError("device", ...).
absl::StatusOr<int> ParseDevice(std::string_view name);

}  // namespace ddpt
