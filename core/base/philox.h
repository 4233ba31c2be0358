#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace ddpt {

// Counter-based random numbers: Philox4x32-10 (Salmon et al., SC'11). The key is the seed; the
// counter is (block, stage, sample low, sample high). So every number is a function of (seed,
// sample, stage, position) alone: never of batch neighbours, threads or order.
struct NoiseKey {
  uint64_t seed = 0;
  uint64_t sample = 0;  // index of the draw within the request
  uint32_t stage = 0;   // which noise of that sample; core/diffusion/FORMAT.md lists the stages
};

// The four 32-bit words of block `block`.
std::array<uint32_t, 4> PhiloxBlock(const NoiseKey& key, uint32_t block);

// Standard normal numbers out[i], i = 0.. : block i/4, by Box-Muller in float32 with the functions
// of math.h:
//   words (r0, r1, r2, r3): u = float(r0) * 2^-32 + 2^-33, radius = sqrt(-2 log u), angle =
//   float(r1 >> 8) * 2^-24 turns, out = radius cos(2 pi angle), radius sin(2 pi angle), the same
//   from (r2, r3). Same bytes on every processor.
// With `first`, a multiple of 4: the numbers from index `first` on.
void FillNormal(const NoiseKey& key, std::span<float> out, size_t first = 0);

}  // namespace ddpt
