#pragma once

#include <cstddef>
#include <deque>
#include <optional>

#include "ddpt/v1/code.pb.h"

namespace ddpt {

// The news of a Generate stream that its reader has not taken yet. News of one choice is joined
// with what waits for that choice, so a slow reader gets fewer, larger messages and at most one
// message a choice waits (its last one, with the finish reason, counts as the same). Bounded by
// bytes. Not thread-safe.
class ResponseQueue {
 public:
  explicit ResponseQueue(size_t limit_bytes) : limit_bytes_(limit_bytes) {}

  // False, and nothing is kept, when more than the limit would wait.
  bool Push(v1::GenerateResponse response);
  std::optional<v1::GenerateResponse> Pop();
  bool empty() const { return waiting_.empty(); }
  void clear();

 private:
  const size_t limit_bytes_;
  size_t bytes_ = 0;
  std::deque<v1::GenerateResponse> waiting_;
};

}  // namespace ddpt
