#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>

namespace ddpt {

// Bytes that all decoding states of a model hold for keys and values. Thread-safe.
class KvMeter {
 public:
  size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  friend class KvShare;
  std::atomic<size_t> bytes_{0};
};

// What one holder has of them: counted until it is changed or destroyed. Movable.
class KvShare {
 public:
  explicit KvShare(std::shared_ptr<KvMeter> meter) : meter_(std::move(meter)) {}
  KvShare(KvShare&&) = default;
  ~KvShare() {
    if (meter_ != nullptr) Set(0);
  }

  void Set(size_t bytes) {
    meter_->bytes_.fetch_add(bytes - bytes_, std::memory_order_relaxed);  // modulo 2^64
    bytes_ = bytes;
  }

 private:
  std::shared_ptr<KvMeter> meter_;  // null after a move
  size_t bytes_ = 0;
};

// What a request to decode keeps at its longest, in tokens.
struct KvNeed {
  size_t past = 0;   // of the decoder: virtual tokens of a prefix, tokens before the answer, answer
  size_t cross = 0;  // of the encoder: virtual tokens, soft prompt, tokens
  size_t rows = 1;   // that go their own ways with one encoder: its beams
};

}  // namespace ddpt
