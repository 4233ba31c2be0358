#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ddpt {

struct ModelGeometry;

// How much of a batch goes through the model at once.
struct MicroBatchLimits {
  int64_t rows = 1024;       // at least 1
  int64_t tokens = 1 << 20;  // rows times the longest; a single row may be longer
};

// For `rows`, or, where that is 0, what this model's device takes: a GPU whole batches; a processor
// what one core does in a few milliseconds for each encoder layer, so that a training job is never
// far from its next pause point. A function of the geometry alone: sums round the same on any day.
MicroBatchLimits MicroBatchLimitsFor(const ModelGeometry& geometry, int64_t rows);

// The rows 0..lengths.size()-1 of a batch in pieces of similar length, the shortest first, so that
// little is padded; lengths[i] is row i's tokens. A row is in exactly one piece.
std::vector<std::vector<int64_t>> MicroBatches(const std::vector<int64_t>& lengths,
                                               const MicroBatchLimits& limits);

}  // namespace ddpt
