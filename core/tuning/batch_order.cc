#include "core/tuning/batch_order.h"

#include <numeric>
#include <utility>

#include "core/base/philox.h"

namespace ddpt {
namespace {

constexpr uint32_t kShuffleStage = 0x5u << 28;  // apart from the stages of weights and noise

}  // namespace

std::vector<uint64_t> BatchOrder::Batch(uint64_t step, uint64_t batch_size) {
  std::vector<uint64_t> batch(batch_size);
  for (uint64_t i = 0; i < batch_size; ++i) {
    const uint64_t position = step * batch_size + i;
    if (position / examples_ != epoch_) Shuffle(position / examples_);
    batch[i] = order_[position % examples_];
  }
  return batch;
}

void BatchOrder::Shuffle(uint64_t epoch) {
  epoch_ = epoch;
  order_.resize(examples_);
  std::iota(order_.begin(), order_.end(), uint64_t{0});
  const NoiseKey key{.seed = seed_, .sample = epoch, .stage = kShuffleStage};
  for (uint64_t i = examples_ - 1; i > 0; --i) {
    const uint64_t word = PhiloxBlock(key, static_cast<uint32_t>(i))[0];
    std::swap(order_[i], order_[word * (i + 1) >> 32]);
  }
}

}  // namespace ddpt
