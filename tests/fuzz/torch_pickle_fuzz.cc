#include <cstdint>

#include "core/base/torch_pickle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  (void)ddpt::ReadTorchPickle({reinterpret_cast<const char*>(data), size});
  return 0;
}
