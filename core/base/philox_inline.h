#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/math_inline.h"

// The generator of philox.h as functions to be inlined into loops; see math_inline.h for why the
// bytes do not depend on the instruction set. Loops over blocks vectorise. Pure, thread-safe.
namespace ddpt::inlined {

struct PhiloxWords {
  uint32_t w0, w1, w2, w3;
};

// Philox4x32-10 of one counter (w0..w3) under one key.
DDPT_INLINED PhiloxWords Philox4x32(PhiloxWords counter, uint32_t key0, uint32_t key1) {
#pragma GCC unroll 10
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = uint64_t{0xd2511f53} * counter.w0;
    const uint64_t product1 = uint64_t{0xcd9e8d57} * counter.w2;
    counter = {
        static_cast<uint32_t>(product1 >> 32) ^ counter.w1 ^ key0, static_cast<uint32_t>(product1),
        static_cast<uint32_t>(product0 >> 32) ^ counter.w3 ^ key1, static_cast<uint32_t>(product0)};
    key0 += 0x9e3779b9;
    key1 += 0xbb67ae85;
  }
  return counter;
}

// The words of block `block` of the stream (seed, sample, stage).
DDPT_INLINED PhiloxWords NoiseWords(uint64_t seed, uint64_t sample, uint32_t stage,
                                    uint32_t block) {
  return Philox4x32(
      {block, stage, static_cast<uint32_t>(sample), static_cast<uint32_t>(sample >> 32)},
      static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
}

// Two standard normal numbers from two words (Box-Muller).
DDPT_INLINED void BoxMuller(uint32_t word0, uint32_t word1, float* first, float* second) {
  const float u = UintToFloat(word0) * 0x1p-32f + 0x1p-33f;
  const float radius = __builtin_sqrtf(-2.0f * Log(u));
  float cosine, sine;
  CosSinTurns(static_cast<float>(static_cast<int32_t>(word1 >> 8)) * 0x1p-24f, &cosine, &sine);
  *first = radius * cosine;
  *second = radius * sine;
}

// out[0 .. 4 * blocks): the normal numbers of blocks first_block .. first_block + blocks - 1.
DDPT_INLINED void NormalBlocks(uint64_t seed, uint64_t sample, uint32_t stage, uint32_t first_block,
                               size_t blocks, float* __restrict out) {
  for (size_t i = 0; i < blocks; ++i) {
    const PhiloxWords words =
        NoiseWords(seed, sample, stage, first_block + static_cast<uint32_t>(i));
    BoxMuller(words.w0, words.w1, &out[4 * i], &out[4 * i + 1]);
    BoxMuller(words.w2, words.w3, &out[4 * i + 2], &out[4 * i + 3]);
  }
}

}  // namespace ddpt::inlined
