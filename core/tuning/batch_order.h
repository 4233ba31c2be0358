#pragma once

#include <cstdint>
#include <vector>

namespace ddpt {

// Which examples make up each optimizer step: epoch after epoch, each in a new random order, as a
// function of (seed, step) alone, so that a run that was killed goes on with the same data. Not
// thread-safe.
class BatchOrder {
 public:
  // examples >= 1.
  BatchOrder(uint64_t seed, uint64_t examples) : seed_(seed), examples_(examples) {}

  // Indices of the `batch_size` examples of step `step` (from 0).
  std::vector<uint64_t> Batch(uint64_t step, uint64_t batch_size);

 private:
  void Shuffle(uint64_t epoch);

  const uint64_t seed_;
  const uint64_t examples_;
  uint64_t epoch_ = UINT64_MAX;
  std::vector<uint64_t> order_;
};

}  // namespace ddpt
