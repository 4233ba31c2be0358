#include "core/evaluation/ngrams.h"

#include <bit>
#include <cstddef>
#include <vector>

namespace ddpt {
namespace {

constexpr uint32_t kAbsent = ~uint32_t{0};
constexpr uint64_t kFree = ~uint64_t{0};

// The n-grams of one order, each told by its first n - 1 symbols' place in the table of the order
// before and by its last symbol: (place << 32 | symbol). Open addressing, less than 3/4 full.
class NgramTable {
 public:
  explicit NgramTable(size_t ngrams)
      : slots_(std::bit_ceil(ngrams + ngrams / 3 + 2)),
        shift_(64 - std::countr_zero(slots_.size())) {}

  void Clear() { slots_.assign(slots_.size(), Slot{}); }

  // Counts one more; its place.
  uint32_t Add(uint64_t key) {
    const size_t place = Place(key);
    slots_[place].key = key;
    ++slots_[place].count;
    return static_cast<uint32_t>(place);
  }

  // Takes one away and adds 1 to `taken` unless all are gone; its place, or kAbsent.
  uint32_t Take(uint64_t key, uint64_t& taken) {
    const size_t place = Place(key);
    if (slots_[place].key == kFree) return kAbsent;
    if (slots_[place].count > 0) {
      --slots_[place].count;
      ++taken;
    }
    return static_cast<uint32_t>(place);
  }

 private:
  struct Slot {
    uint64_t key = kFree;
    uint64_t count = 0;
  };

  size_t Place(uint64_t key) const {
    size_t place = key * 0x9e3779b97f4a7c15u >> shift_;
    while (slots_[place].key != key && slots_[place].key != kFree) {
      place = (place + 1) & (slots_.size() - 1);
    }
    return place;
  }

  std::vector<Slot> slots_;
  int shift_;
};

uint64_t Key(uint32_t place, uint32_t symbol) { return uint64_t{place} << 32 | symbol; }

}  // namespace

void CountCommonNgrams(std::span<const uint32_t> some, std::span<const uint32_t> others,
                       std::span<uint64_t> common) {
  // Of the n-gram that begins there; the empty one's is 0.
  std::vector<uint32_t> some_places(some.size()), other_places(others.size());
  NgramTable table(others.size());
  for (size_t order = 1; order <= common.size(); ++order) {
    common[order - 1] = 0;
    if (order > 1) table.Clear();
    for (size_t i = 0; i + order <= others.size(); ++i) {
      other_places[i] = table.Add(Key(other_places[i], others[i + order - 1]));
    }
    for (size_t i = 0; i + order <= some.size(); ++i) {
      if (some_places[i] == kAbsent) continue;
      some_places[i] = table.Take(Key(some_places[i], some[i + order - 1]), common[order - 1]);
    }
  }
}

}  // namespace ddpt
