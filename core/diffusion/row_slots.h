#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace ddpt {

// Which rows of a batch are taken: places 0..capacity-1 that rows come into and leave, each row
// with an id that no other ever gets. Everything takes constant time and allocates nothing after
// construction. Not thread-safe.
class RowSlots {
 public:
  explicit RowSlots(size_t capacity) : slots_(capacity) {
    active_.reserve(capacity);
    free_.reserve(capacity);
    for (size_t i = capacity; i-- > 0;) free_.push_back(i);
  }

  size_t capacity() const { return slots_.size(); }
  bool full() const { return free_.empty(); }
  // Those taken; Release() puts the last one in the place of the one released.
  const std::vector<size_t>& active() const { return active_; }

  // The place of a new row; not where full().
  size_t Take() {
    const size_t index = free_.back();
    free_.pop_back();
    slots_[index] = {.id = ++taken_ * capacity() + index, .position = active_.size()};
    active_.push_back(index);
    return index;
  }
  uint64_t id(size_t index) const { return slots_[index].id; }
  bool taken(size_t index) const { return id(index) != 0; }
  // Nothing where the row has left, or never was.
  std::optional<size_t> Find(uint64_t id) const {
    const size_t index = id % capacity();
    if (id == 0 || slots_[index].id != id) return std::nullopt;
    return index;
  }
  void Release(size_t index) {
    const size_t position = slots_[index].position;
    active_[position] = active_.back();
    slots_[active_[position]].position = position;
    active_.pop_back();
    slots_[index] = {};
    free_.push_back(index);
  }

 private:
  struct Slot {
    uint64_t id = 0;      // 0: free
    size_t position = 0;  // in active_
  };
  std::vector<Slot> slots_;
  std::vector<size_t> active_, free_;
  uint64_t taken_ = 0;
};

}  // namespace ddpt
