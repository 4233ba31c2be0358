#include "core/diffusion/cuda_engine.h"

namespace ddpt {

bool CudaEngine::Supports(const DenoiserSpec& spec) {
  constexpr int64_t kPanel = 32, kMaxLatent = 1024;
  return spec.method != Method::kPrefixTuning && spec.reading == Reading::kX0 && spec.layers >= 1 &&
         spec.latent % kPanel == 0 && spec.latent <= kMaxLatent && spec.size() % kPanel == 0;
}

}  // namespace ddpt
