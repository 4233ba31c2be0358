#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"

namespace ddpt {

// Two neighbours that become one token. Their place in the list is their rank: the earlier merges
// first.
struct BpeMerge {
  uint32_t left, right, result;
};

// Byte-pair encoding of words over bytes. Immutable and thread-safe.
class Bpe {
 public:
  // `byte_ids[b]` is the token of the single byte b. Of a pair listed twice the later rank holds.
  Bpe(const std::array<uint32_t, 256>& byte_ids, std::span<const BpeMerge> merges);

  // Appends the ids of each word in turn. Merges never cross words. O(n log n) for a word of n
  // bytes.
  void AppendIds(std::span<const std::string_view> words, std::vector<uint32_t>* ids) const;

 private:
  class Word;
  struct Target {
    uint32_t rank, id;
  };

  // Null where the pair does not merge.
  const Target* Find(uint32_t left, uint32_t right) const;

  std::array<uint32_t, 256> byte_ids_;
  absl::flat_hash_map<uint64_t, Target> merges_;  // by left << 32 | right
};

}  // namespace ddpt
