#include "core/runtime/admission.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

using std::chrono::duration;
using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

using Counts = std::map<std::string, size_t, std::less<>>;

constexpr double kNewestShare = 0.125;
constexpr milliseconds kShortestRetry{1};
constexpr milliseconds kLongestRetry{60'000};

size_t CountOf(const Counts& counts, std::string_view key) {
  const auto count = counts.find(key);
  return count == counts.end() ? 0 : count->second;
}

Counts::iterator Increment(Counts& counts, std::string_view key) {
  auto count = counts.find(key);
  if (count == counts.end()) count = counts.emplace(key, 0).first;
  ++count->second;
  return count;
}

void Decrement(Counts& counts, Counts::iterator count) {
  if (--count->second == 0) counts.erase(count);
}

}  // namespace

struct Admission::State {
  explicit State(Options given)
      : options(std::move(given)),
        service_ms(duration<double, std::milli>(options.first_estimate)) {}

  absl::Status Refuse(size_t limit, std::string_view scope) const {
    const auto estimate = service_ms * double(waiting + 1) / double(std::max<size_t>(running, 1));
    const auto retry =
        std::clamp(duration_cast<milliseconds>(estimate), kShortestRetry, kLongestRetry);
    absl::Status status = absl::ResourceExhaustedError(
        absl::StrCat("the limit of ", limit, " ", options.name, Piece(scope), " is reached"));
    status.SetPayload(Piece(kRetryPayload), absl::Cord(absl::StrCat(retry.count())));
    return status;
  }

  const Options options;
  mutable std::mutex mutex;
  mutable std::condition_variable idle;
  // Guarded by mutex:
  bool closed = false;
  size_t waiting = 0;
  size_t running = 0;
  Counts per_key;
  Counts per_client;
  duration<double, std::milli> service_ms;
};

std::optional<milliseconds> RetryAfter(const absl::Status& status) {
  const auto payload = status.GetPayload(Piece(kRetryPayload));
  int64_t value = 0;
  if (!payload || !absl::SimpleAtoi(std::string(*payload), &value)) return std::nullopt;
  return milliseconds(value);
}

Admission::Admission(Options options) : state_(std::make_shared<State>(std::move(options))) {}

absl::StatusOr<Admission::Ticket> Admission::Admit(std::string_view key, std::string_view client) {
  State& state = *state_;
  std::lock_guard lock(state.mutex);
  if (state.closed) return absl::UnavailableError("draining: the server is about to stop");
  const Options& options = state.options;
  if (state.waiting + state.running >= options.limit) return state.Refuse(options.limit, "");
  if (options.limit_per_client > 0 &&
      CountOf(state.per_client, client) >= options.limit_per_client) {
    return WithReason(
        state.Refuse(options.limit_per_client, absl::StrCat(" for the client \"", Piece(client),
                                                            "\" (max-requests-per-client)")),
        kReasonQuota);
  }
  if (CountOf(state.per_key, key) >= options.limit_per_key) {
    return state.Refuse(options.limit_per_key, absl::StrCat(" for \"", Piece(key), "\""));
  }
  ++state.waiting;
  return Ticket(state_, Increment(state.per_key, key), Increment(state.per_client, client));
}

void Admission::Close() {
  std::lock_guard lock(state_->mutex);
  state_->closed = true;
}

bool Admission::WaitIdle(TimePoint deadline) const {
  std::unique_lock lock(state_->mutex);
  return state_->idle.wait_until(lock, deadline,
                                 [this] { return state_->waiting + state_->running == 0; });
}

size_t Admission::waiting() const {
  std::lock_guard lock(state_->mutex);
  return state_->waiting;
}

size_t Admission::running() const {
  std::lock_guard lock(state_->mutex);
  return state_->running;
}

Admission::Ticket& Admission::Ticket::operator=(Ticket&& other) noexcept {
  if (this == &other) return *this;
  Return();
  state_ = std::move(other.state_);
  key_ = other.key_;
  client_ = other.client_;
  started_ = other.started_;
  return *this;
}

Admission::Ticket::~Ticket() { Return(); }

void Admission::Ticket::Start() {
  if (!state_ || started_) return;
  started_ = steady_clock::now();
  std::lock_guard lock(state_->mutex);
  --state_->waiting;
  ++state_->running;
}

void Admission::Ticket::Return() {
  if (!state_) return;
  const std::shared_ptr<State> state = std::move(state_);
  std::lock_guard lock(state->mutex);
  if (started_) {
    const duration<double, std::milli> served = steady_clock::now() - *started_;
    state->service_ms += kNewestShare * (served - state->service_ms);
    --state->running;
  } else {
    --state->waiting;
  }
  Decrement(state->per_key, key_);
  Decrement(state->per_client, client_);
  if (state->waiting + state->running == 0) state->idle.notify_all();
}

}  // namespace ddpt
