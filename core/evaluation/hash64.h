#pragma once

#include <cstdint>
#include <string_view>

namespace ddpt {

// A hash of what is added, in order, the same on every machine. Among n different sequences two
// have the same hash in about one case of 2^65 / n^2. Not for input that is made to collide.
class Hash64 {
 public:
  void Add(uint64_t value) {
    hash_ = (hash_ ^ value) * 0x9e3779b97f4a7c15u;
    hash_ ^= hash_ >> 32;
  }

  void Add(std::string_view text) {
    for (const char c : text) Add(static_cast<uint64_t>(static_cast<unsigned char>(c)) + 1);
    Add(uint64_t{0});
  }

  uint64_t value() const { return hash_; }

 private:
  uint64_t hash_ = 0x2545f4914f6cdd1du;
};

}  // namespace ddpt
