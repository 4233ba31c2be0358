#include "client/retry.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <thread>

#include "core/runtime/admission.h"

namespace ddpt {
namespace {

double RandomUniform() {
  thread_local std::minstd_rand generator(std::random_device{}());
  return 1.0 - std::uniform_real_distribution<double>(0.0, 1.0)(generator);
}

}  // namespace

std::chrono::milliseconds Backoff(const RetryPolicy& policy, int attempt,
                                  const absl::Status& status, double uniform) {
  const double grown =
      std::ldexp(static_cast<double>(policy.initial_backoff.count()), std::min(attempt - 1, 30));
  const double ceiling = std::min(grown, static_cast<double>(policy.max_backoff.count()));
  return RetryAfter(status).value_or(std::chrono::milliseconds(0)) +
         std::chrono::milliseconds(std::llround(uniform * ceiling));
}

absl::Status Retry(const RetryPolicy& policy, std::chrono::steady_clock::time_point deadline,
                   const std::function<bool()>& may_repeat,
                   const std::function<absl::Status()>& attempt) {
  for (int made = 1;; ++made) {
    absl::Status status = attempt();
    if (!absl::IsUnavailable(status) || made >= policy.max_attempts || !may_repeat()) return status;
    const auto wait = Backoff(policy, made, status, RandomUniform());
    if (std::chrono::steady_clock::now() + wait >= deadline) return status;
    std::this_thread::sleep_for(wait);
  }
}

}  // namespace ddpt
