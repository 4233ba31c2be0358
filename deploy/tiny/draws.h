#pragma once

#include <array>
#include <cstdint>

#include "core/base/philox.h"

namespace ddpt::tiny {

// A sequence of random choices that depends on its key alone, so any example of the corpus can be
// made without making those before it. Not thread-safe; cheap to make.
class Draws {
 public:
  explicit Draws(const NoiseKey& key) : key_(key) {}

  // Uniform in [0, n), n >= 1 (biased by less than n / 2^32).
  uint32_t Below(uint32_t n) { return static_cast<uint32_t>(uint64_t{Word()} * n >> 32); }
  // Uniform in [0, 1).
  double Unit() { return Word() * 0x1p-32; }
  // One element of a non-empty container.
  template <typename Container>
  const auto& Of(const Container& items) {
    return items[Below(static_cast<uint32_t>(items.size()))];
  }

 private:
  uint32_t Word() {
    if (next_ % 4 == 0) words_ = PhiloxBlock(key_, next_ / 4);
    return words_[next_++ % 4];
  }

  NoiseKey key_;
  uint32_t next_ = 0;
  std::array<uint32_t, 4> words_{};
};

}  // namespace ddpt::tiny
