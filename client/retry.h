#pragma once

#include <chrono>
#include <functional>

#include "absl/status/status.h"

namespace ddpt {

// When a call that failed by UNAVAILABLE is made again.
struct RetryPolicy {
  int max_attempts = 4;  // in all, at least 1
  std::chrono::milliseconds initial_backoff{100};
  std::chrono::milliseconds max_backoff{5000};
};

// How long to wait after `attempt` (1, 2, ...) failed with `status`: uniform in (0, 1] times
// min(max_backoff, initial_backoff * 2^(attempt - 1)), on top of the server's RetryInfo where it
// sent one. Pure; `uniform` is the random number.
std::chrono::milliseconds Backoff(const RetryPolicy& policy, int attempt,
                                  const absl::Status& status, double uniform);

// Calls `attempt` until it succeeds, fails by another error than UNAVAILABLE, `may_repeat` says no,
// the attempts are used up, or the next one would begin after `deadline`; the last status. Blocks,
// also between attempts. Thread-safe.
absl::Status Retry(const RetryPolicy& policy, std::chrono::steady_clock::time_point deadline,
                   const std::function<bool()>& may_repeat,
                   const std::function<absl::Status()>& attempt);

}  // namespace ddpt
