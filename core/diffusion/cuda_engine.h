#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/diffusion/denoiser_spec.h"
#include "core/diffusion/draw_batch.h"
#include "core/diffusion/kernels.h"

namespace ddpt {

// A LatentEngine's weights on a GPU. Immutable, thread-safe.
class CudaEngine {
 public:
  // Whether a GPU may draw from such a denoiser: no prefix, reading X0, 1..8 layers, a latent width
  // that is a multiple of 32 up to 1,024, and D a multiple of 32.
  static bool Supports(const DenoiserSpec& spec);

  // Blocks for the copy. FAILED_PRECONDITION where this build has no CUDA, the machine no such GPU,
  // or that GPU no room for the denoiser in its thread blocks (before Hopper: above a latent width
  // of 256 in bfloat16); RESOURCE_EXHAUSTED for want of memory. The spec must be supported.
  static absl::StatusOr<std::shared_ptr<const CudaEngine>> Create(const LatentEngine& engine,
                                                                  int device);

  virtual ~CudaEngine() = default;

  // The arithmetic class of draws with bfloat16 weights: "bf16-sm90" on compute capability 9.0,
  // because generations of tensor cores add in ways of their own. float32 has the processor's.
  virtual std::string bfloat16_class() const = 0;

  // A batch of draws on a CUDA stream of its own; `engine` is the one that this was made of. Takes
  // about 16 h bytes a row on the GPU, at most 1,152 D floats there, and 128 D here. Errors as of
  // DrawBatch::Create.
  virtual absl::StatusOr<std::unique_ptr<DrawBatch>> NewBatch(
      std::shared_ptr<const LatentEngine> engine, size_t capacity) const = 0;
};

}  // namespace ddpt
