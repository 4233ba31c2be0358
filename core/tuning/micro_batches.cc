#include "core/tuning/micro_batches.h"

#include <algorithm>
#include <numeric>

#include "core/model/geometry.h"

namespace ddpt {
namespace {

// Of one encoder layer on a piece: a millisecond on one core. The price of being interruptible: a
// step of the embedded model takes 116 ms, where it takes 102 ms with whole batches of 32.
constexpr int64_t kMultiplyAdds = 30'000'000;
// Of a layer a token: four square matrices of attention, two of the MLP that are four times as
// wide.
constexpr int64_t kSquaresOfALayer = 12;

}  // namespace

MicroBatchLimits MicroBatchLimitsFor(const ModelGeometry& geometry, int64_t rows) {
  if (rows > 0) return {.rows = rows};
  if (geometry.device != "cpu") return {};
  const int64_t width = geometry.encoder.width;
  return {.tokens = kMultiplyAdds / (kSquaresOfALayer * width * width)};
}

std::vector<std::vector<int64_t>> MicroBatches(const std::vector<int64_t>& lengths,
                                               const MicroBatchLimits& limits) {
  std::vector<int64_t> order(lengths.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, {}, [&](int64_t row) { return lengths[row]; });
  std::vector<std::vector<int64_t>> pieces;
  for (const int64_t row : order) {
    // Each row is the longest of its piece so far.
    const int64_t rows = pieces.empty() ? 0 : static_cast<int64_t>(pieces.back().size());
    if (rows == 0 || rows == limits.rows || (rows + 1) * lengths[row] > limits.tokens) {
      pieces.emplace_back();
    }
    pieces.back().push_back(row);
  }
  return pieces;
}

}  // namespace ddpt
