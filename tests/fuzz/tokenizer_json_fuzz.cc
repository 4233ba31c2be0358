#include <cstdint>
#include <cstdlib>
#include <fstream>

#include "core/text/tokenizer.h"

// Tokenizers are read from files, here one in memory.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string directory = [] {
    char name[] = "/dev/shm/ddpt-fuzz-XXXXXX";
    return std::string(mkdtemp(name));
  }();
  std::ofstream(directory + "/tokenizer.json", std::ios::binary)
      .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  const auto tokenizer = ddpt::Tokenizer::Load(directory);
  if (!tokenizer.ok()) return 0;
  const auto ids = (*tokenizer)->Encode("def größe(x):\n    return x + 1  # ✓");
  if (ids.ok()) (void)(*tokenizer)->Decode(*ids);
  return 0;
}
