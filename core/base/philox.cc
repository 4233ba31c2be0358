#include "core/base/philox.h"

#include <algorithm>

#include "core/base/philox_inline.h"

namespace ddpt {
namespace {

void PortableBlocks(const NoiseKey& key, uint32_t first, size_t blocks, float* out) {
  inlined::NormalBlocks(key.seed, key.sample, key.stage, first, blocks, out);
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) void Avx2Blocks(const NoiseKey& key, uint32_t first,
                                                    size_t blocks, float* out) {
  inlined::NormalBlocks(key.seed, key.sample, key.stage, first, blocks, out);
}

void Blocks(const NoiseKey& key, uint32_t first, size_t blocks, float* out) {
  const bool fast = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  (fast ? Avx2Blocks : PortableBlocks)(key, first, blocks, out);
}
#else
void Blocks(const NoiseKey& key, uint32_t first, size_t blocks, float* out) {
  PortableBlocks(key, first, blocks, out);
}
#endif

}  // namespace

std::array<uint32_t, 4> PhiloxBlock(const NoiseKey& key, uint32_t block) {
  const auto words = inlined::NoiseWords(key.seed, key.sample, key.stage, block);
  return {words.w0, words.w1, words.w2, words.w3};
}

void FillNormal(const NoiseKey& key, std::span<float> out, size_t first) {
  const auto first_block = static_cast<uint32_t>(first / 4);
  const size_t whole_blocks = out.size() / 4;
  Blocks(key, first_block, whole_blocks, out.data());
  const std::span<float> rest = out.subspan(4 * whole_blocks);
  if (rest.empty()) return;
  float last[4];
  inlined::NormalBlocks(key.seed, key.sample, key.stage,
                        first_block + static_cast<uint32_t>(whole_blocks), 1, last);
  std::copy_n(last, rest.size(), rest.begin());
}

}  // namespace ddpt
