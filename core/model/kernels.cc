#include "core/model/kernels.h"

namespace ddpt {

const ModelKernels* BestModelKernels() {
  static const ModelKernels* const best = Avx512Bf16ModelKernels() != nullptr
                                              ? Avx512Bf16ModelKernels()
                                          : Avx512ModelKernels() != nullptr ? Avx512ModelKernels()
                                                                            : Avx2ModelKernels();
  return best;
}

}  // namespace ddpt
