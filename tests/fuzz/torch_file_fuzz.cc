#include <cstdint>

#include "core/base/torch_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = ddpt::TorchFile::Parse({reinterpret_cast<const char*>(data), size}, "fuzz");
  if (!file.ok()) return 0;
  for (const auto& [name, view] : (*file)->tensors()) (void)view.ToTensor();
  return 0;
}
