#include "core/diffusion/cuda_engine.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/diffusion/cuda_batch.h"

namespace ddpt {
namespace {

absl::Status FromError(const cuda::CudaError& error) {
  if (error.code == cudaErrorMemoryAllocation) return absl::ResourceExhaustedError(error.what());
  return absl::FailedPreconditionError(error.what());
}

class Engine final : public CudaEngine {
 public:
  explicit Engine(std::shared_ptr<const cuda::Weights> weights) : weights_(std::move(weights)) {}

  std::string bfloat16_class() const override {
    return absl::StrCat("bf16-sm", weights_->device.capability);
  }

  absl::StatusOr<std::unique_ptr<DrawBatch>> NewBatch(std::shared_ptr<const LatentEngine> engine,
                                                      size_t capacity) const override {
    try {
      weights_->Use();
      return std::make_unique<cuda::Batch>(std::move(engine), weights_, capacity);
    } catch (const cuda::CudaError& error) {
      return FromError(error);
    }
  }

 private:
  const std::shared_ptr<const cuda::Weights> weights_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const CudaEngine>> CudaEngine::Create(const LatentEngine& engine,
                                                                     int device) {
  try {
    cuda::Check(cudaSetDevice(device));
    auto weights = std::make_shared<const cuda::Weights>(engine, device);
    if (!cuda::Fits(weights->latent, weights->device)) {
      return absl::FailedPreconditionError(absl::StrCat(
          "GPU ", device, " has no room for a latent width of ", weights->latent.latent));
    }
    return std::make_shared<const Engine>(std::move(weights));
  } catch (const cuda::CudaError& error) {
    return FromError(error);
  }
}

}  // namespace ddpt
