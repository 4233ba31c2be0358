#include "core/diffusion/kernels.h"

namespace ddpt {

const Kernels& BestKernels() {
  static const Kernels& best = Avx512Kernels() != nullptr ? *Avx512Kernels()
                               : Avx2Kernels() != nullptr ? *Avx2Kernels()
                                                          : PortableKernels();
  return best;
}

}  // namespace ddpt
