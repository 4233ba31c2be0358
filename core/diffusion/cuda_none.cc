#include "absl/strings/str_cat.h"
#include "core/diffusion/cuda_engine.h"

namespace ddpt {

absl::StatusOr<std::shared_ptr<const CudaEngine>> CudaEngine::Create(const LatentEngine&,
                                                                     int device) {
  return absl::FailedPreconditionError(
      absl::StrCat("GPU ", device, " was asked for, but this build has no CUDA"));
}

}  // namespace ddpt
