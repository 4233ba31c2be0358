#include "absl/strings/str_cat.h"
#include "core/runtime/stream.h"

namespace ddpt {

absl::StatusOr<std::unique_ptr<Stream>> Stream::Create(int device) {
  if (device == kCpu) return std::make_unique<Stream>();
  return absl::FailedPreconditionError(
      absl::StrCat("GPU ", device, " was asked for, but this build has no CUDA"));
}

}  // namespace ddpt
