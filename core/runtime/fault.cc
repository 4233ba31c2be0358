#include "core/runtime/fault.h"

#include <algorithm>
#include <iterator>
#include <new>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

// LibTorch and CUDA tell these as plain errors, so the words are all there is.
constexpr absl::string_view kMemoryWords[] = {"out of memory", "can't allocate memory"};

// cudaGetErrorString of the errors that stay: every later call of the process fails by them.
constexpr absl::string_view kLostWords[] = {
    "an illegal memory access was encountered",
    "an illegal instruction was encountered",
    "device-side assert triggered",
    "hardware stack error",
    "invalid program counter",
    "misaligned address",
    "operation not supported on global/shared address space",
    "the launch timed out and was terminated",
    "uncorrectable ECC error encountered",
    "uncorrectable NVLink error",
    "unspecified launch failure",
    "CUDA-capable device(s) is/are busy or unavailable",
    "no CUDA-capable device is detected",
};

template <size_t kCount>
bool HasAny(absl::string_view message, const absl::string_view (&words)[kCount]) {
  return std::any_of(std::begin(words), std::end(words),
                     [&](absl::string_view word) { return absl::StrContains(message, word); });
}

}  // namespace

absl::Status FromException(const std::exception& error) {
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) {
    return WithReason(absl::ResourceExhaustedError("out of memory"), kReasonOutOfMemory);
  }
  const absl::string_view text = error.what();
  const absl::string_view message = text.substr(0, text.find('\n'));
  if (HasAny(message, kMemoryWords)) {
    return WithReason(absl::ResourceExhaustedError(message), kReasonOutOfMemory);
  }
  const absl::Status status = absl::InternalError(message);
  return HasAny(message, kLostWords) ? WithReason(status, kReasonDeviceLost) : status;
}

}  // namespace ddpt
