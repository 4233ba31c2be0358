#include "core/model/codet5p_cuda_decoder.h"

namespace ddpt::codet5p {

std::unique_ptr<const CudaDecoder> CudaDecoder::Create(const StateDict&, const Codet5pConfig&,
                                                       const Rotary&) {
  return nullptr;
}

}  // namespace ddpt::codet5p
