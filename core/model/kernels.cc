#include "core/model/kernels.h"

#include <initializer_list>

namespace ddpt {

const ModelKernels* BestModelKernels() {
  static const ModelKernels* const best = [] {
    for (auto* const kernels : {AmxModelKernels, Avx512Bf16ModelKernels, Avx512ModelKernels}) {
      if (kernels() != nullptr) return kernels();
    }
    return Avx2ModelKernels();
  }();
  return best;
}

}  // namespace ddpt
