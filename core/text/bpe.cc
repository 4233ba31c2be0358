#include "core/text/bpe.h"

#include <algorithm>
#include <functional>

namespace ddpt {
namespace {

uint64_t PairKey(uint32_t left, uint32_t right) { return uint64_t{left} << 32 | right; }

}  // namespace

// The word being merged: a doubly linked list of symbols in an array, and a heap of the pairs that
// may merge. Reused from word to word for its memory.
class Bpe::Word {
 public:
  explicit Word(const Bpe& bpe) : bpe_(bpe) {}

  void Encode(std::string_view word, std::vector<uint32_t>* ids) {
    symbols_.clear();
    for (size_t i = 0; i < word.size(); ++i) {
      const auto place = static_cast<int32_t>(i);
      symbols_.push_back({bpe_.byte_ids_[static_cast<uint8_t>(word[i])], place - 1, place + 1});
    }
    if (symbols_.empty()) return;
    symbols_.back().next = kNone;
    for (size_t i = 0; i + 1 < symbols_.size(); ++i) PushPair(static_cast<int32_t>(i));
    MergeAll();
    for (int32_t i = 0; i != kNone; i = symbols_[i].next) ids->push_back(symbols_[i].id);
  }

 private:
  static constexpr int32_t kNone = -1;
  static constexpr int32_t kGone = -2;

  struct Symbol {
    uint32_t id;
    int32_t previous, next;  // kGone in `next`: merged into the symbol before it
  };

  // Heap order: lowest rank, then leftmost.
  static uint64_t Entry(uint32_t rank, int32_t place) { return uint64_t{rank} << 32 | place; }

  const Target* PairAt(int32_t place) const {
    const Symbol& left = symbols_[place];
    return left.next < 0 ? nullptr : bpe_.Find(left.id, symbols_[left.next].id);
  }

  void PushPair(int32_t place) {
    const Target* target = PairAt(place);
    if (target == nullptr) return;
    heap_.push_back(Entry(target->rank, place));
    std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
  }

  void MergeAll() {
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
      const uint64_t entry = heap_.back();
      heap_.pop_back();
      const auto place = static_cast<int32_t>(entry & 0xFFFFFFFF);
      const Target* target = PairAt(place);
      // An earlier merge may have taken or changed this pair since it was pushed.
      if (target != nullptr && target->rank == entry >> 32) Merge(place, target->id);
    }
  }

  void Merge(int32_t place, uint32_t id) {
    Symbol& left = symbols_[place];
    Symbol& right = symbols_[left.next];
    left.id = id;
    left.next = right.next;
    right.next = kGone;
    if (left.next != kNone) symbols_[left.next].previous = place;
    if (left.previous != kNone) PushPair(left.previous);
    PushPair(place);
  }

  const Bpe& bpe_;
  std::vector<Symbol> symbols_;
  std::vector<uint64_t> heap_;
};

Bpe::Bpe(const std::array<uint32_t, 256>& byte_ids, std::span<const BpeMerge> merges)
    : byte_ids_(byte_ids) {
  merges_.reserve(merges.size());
  for (uint32_t rank = 0; rank < merges.size(); ++rank) {
    const BpeMerge& merge = merges[rank];
    merges_[PairKey(merge.left, merge.right)] = {rank, merge.result};
  }
}

const Bpe::Target* Bpe::Find(uint32_t left, uint32_t right) const {
  const auto found = merges_.find(PairKey(left, right));
  return found == merges_.end() ? nullptr : &found->second;
}

void Bpe::AppendIds(std::span<const std::string_view> words, std::vector<uint32_t>* ids) const {
  Word scratch(*this);
  for (const std::string_view word : words) scratch.Encode(word, ids);
}

}  // namespace ddpt
