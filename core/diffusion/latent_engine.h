#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/device.h"
#include "core/diffusion/cholesky.h"
#include "core/diffusion/cuda_engine.h"
#include "core/diffusion/denoiser.h"
#include "core/diffusion/kernels.h"
#include "core/diffusion/packed_affine.h"
#include "core/diffusion/sampling.h"

namespace ddpt {

// What sampling one denoiser in its latent space needs, made once. x enters the network through
// W x only and leaves it through U phi only, and samplers are affine, so a step on y = W x in R^h
// replaces one in R^D exactly (FORMAT.md); the D-dimensional work is W x_T and U phi at the ends.
// Immutable and shared; every member function is thread-safe.
class LatentEngine {
 public:
  // With bfloat16, the weights of the maps from R^h (hidden, feedback, up, noise) are rounded once;
  // all else is float32 either way. Draws run on GPU `device` where that supports the denoiser
  // (CudaEngine), else here. Blocks for the products W U and W W^T: about 0.5 s at D = 10,240, h =
  // 256. Takes about three times the memory of W. INVALID_ARGUMENT for sizes whose tables would not
  // fit; else CudaEngine's errors.
  static absl::StatusOr<std::shared_ptr<const LatentEngine>> Create(
      std::shared_ptr<const Denoiser> denoiser, WeightType type = WeightType::kFloat32,
      const Kernels& kernels = BestKernels(), int device = kCpu);

  const Denoiser& denoiser() const { return *denoiser_; }
  const DenoiserSpec& spec() const { return denoiser_->spec(); }
  const Kernels& kernels() const { return kernels_; }
  WeightType weight_type() const { return type_; }
  // Null where draws run on the processor.
  const CudaEngine* cuda() const { return cuda_.get(); }
  // Within one class equal rows give equal bytes, on every processor or GPU, at every batch width
  // and thread count: "fp32-cpu", "bf16-cpu", or as of CudaEngine.
  std::string arithmetic_class() const;
  // Bytes held besides the denoiser itself.
  size_t bytes() const;

  // Options must be valid. Shared with other rows of the same options.
  std::shared_ptr<const SamplerTable> Table(const SamplingOptions& options) const {
    return tables_->Get(options);
  }

  // y = W x: [D] -> [h]; 0 -> 0 for a prefix, where W = 0 would take 32 D numbers and more.
  const AffineView& down() const { return down_.view(); }
  // V_l a + d_l: [h] -> [h], l = 1..layers.
  const std::vector<PackedAffine>& hidden() const { return hidden_; }
  // M phi + v with M = W U, v = W u: [h] -> [h].
  const AffineView& feedback() const { return feedback_.view(); }
  // U phi + u (X0), U phi (residual readings): [h] -> [D].
  const AffineView& up() const { return up_.view(); }
  // K c: [C] -> [h]; 0 -> 0 without a condition.
  const AffineView& condition() const { return condition_.view(); }
  // L eta: [h] -> [h], L L^T = W W^T.
  const AffineView& noise() const { return noise_.view(); }
  // W^T g: [h] -> [D]; X0_RESIDUAL only.
  const AffineView& down_transposed() const { return down_transposed_.view(); }
  // L in double precision.
  const Cholesky& gram() const { return gram_; }
  // tau(t) + b, [h].
  const float* time(int64_t t) const { return time_.data() + t * spec().latent; }

 private:
  LatentEngine(std::shared_ptr<const Denoiser> denoiser, WeightType type, const Kernels& kernels);
  void FillTimeTable();

  std::shared_ptr<const Denoiser> denoiser_;
  WeightType type_;
  const Kernels& kernels_;
  std::unique_ptr<SamplerTables> tables_;
  PackedAffine down_, feedback_, up_, condition_, noise_, down_transposed_;
  std::vector<PackedAffine> hidden_;
  Cholesky gram_;
  std::vector<float> time_;  // [T, h]
  std::shared_ptr<const CudaEngine> cuda_;
};

}  // namespace ddpt
