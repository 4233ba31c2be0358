#include "core/base/stop_token.h"

namespace ddpt {

bool StopToken::stopped() const { return !status().ok(); }

absl::Status StopToken::status() const {
  if (state_ == nullptr) return absl::OkStatus();
  if (state_->cancelled.load(std::memory_order_relaxed)) {
    return absl::CancelledError("the caller cancelled");
  }
  if (state_->deadline != TimePoint::max() &&
      std::chrono::steady_clock::now() >= state_->deadline) {
    return absl::DeadlineExceededError("the deadline passed");
  }
  return absl::OkStatus();
}

TimePoint StopToken::deadline() const {
  return state_ == nullptr ? TimePoint::max() : state_->deadline;
}

StopSource::StopSource(TimePoint deadline) : state_(std::make_shared<StopToken::State>()) {
  state_->deadline = deadline;
}

void StopSource::Cancel() { state_->cancelled.store(true, std::memory_order_relaxed); }

}  // namespace ddpt
