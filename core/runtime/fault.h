#pragma once

#include <exception>
#include <string_view>

#include "absl/status/status.h"

namespace ddpt {

// The reasons (WithReason) of errors that say something of the machine, not of the work.
inline constexpr std::string_view kReasonOutOfMemory = "OUT_OF_MEMORY";
inline constexpr std::string_view kReasonDeviceLost = "DEVICE_LOST";

// What an exception of LibTorch, CUDA or the standard library means: RESOURCE_EXHAUSTED
// (kReasonOutOfMemory) where memory was wanting, on the processor or a GPU; else INTERNAL, with
// kReasonDeviceLost where the error is one after which a GPU answers this process no more. The
// message is the first line of the exception's; LibTorch's have the stack behind it. Thread-safe.
absl::Status FromException(const std::exception& error);

}  // namespace ddpt
