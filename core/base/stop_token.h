#pragma once

#include <atomic>
#include <chrono>
#include <memory>

#include "absl/status/status.h"

namespace ddpt {

using TimePoint = std::chrono::steady_clock::time_point;

// Why work should stop: its caller cancelled, or its deadline passed. A StopSource hands out
// StopTokens; every diffusion step and every decoded token looks at one. Copies are cheap and share
// the state. Thread-safe.
class StopToken {
 public:
  // Never stops.
  StopToken() = default;

  bool stopped() const;
  // OK, CANCELLED or DEADLINE_EXCEEDED.
  absl::Status status() const;
  // TimePoint::max() where there is none.
  TimePoint deadline() const;

 private:
  friend class StopSource;
  struct State {
    std::atomic<bool> cancelled{false};
    TimePoint deadline = TimePoint::max();
  };
  explicit StopToken(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  std::shared_ptr<const State> state_;
};

// The writing end of a StopToken. Cancel() may be called from any thread, any number of times.
class StopSource {
 public:
  explicit StopSource(TimePoint deadline = TimePoint::max());
  void Cancel();
  StopToken token() const { return StopToken(state_); }

 private:
  std::shared_ptr<StopToken::State> state_;
};

}  // namespace ddpt
