#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/base/stop_token.h"

namespace ddpt {

// Type URL of the payload of a refusal: after how many milliseconds to try again, in decimal
// digits.
inline constexpr std::string_view kRetryPayload = "type.ddpt/retry-ms";

// The reason of a refusal because one client has too many requests inside.
inline constexpr std::string_view kReasonQuota = "QUOTA";

// The retry hint of a status; nothing where it carries none.
std::optional<std::chrono::milliseconds> RetryAfter(const absl::Status& status);

// The door of a service: how many requests may be inside, waiting and running together. Deciding
// and counting are one atomic step, taken before any work is done for the request, so the limits
// hold exactly. Nothing here waits except WaitIdle. Thread-safe.
class Admission {
 private:
  struct State;

 public:
  struct Options {
    std::string name = "requests";  // what is counted, for messages
    size_t limit = 256;             // inside at the same time
    size_t limit_per_key = 256;  // of those, with one key (a task), so that no task fills the house
    size_t limit_per_client = 0;  // of those, of one client; 0: no limit
    // Assumed time of service until the first request has been served.
    std::chrono::milliseconds first_estimate{100};
  };

  // The right to be inside: counted from Admit() until destruction, first as waiting, after Start()
  // as running. Move-only; a moved-from or default ticket counts nothing. One owner at a time; may
  // outlive the Admission.
  class Ticket {
   public:
    Ticket() = default;
    Ticket(Ticket&& other) noexcept = default;
    Ticket& operator=(Ticket&& other) noexcept;
    ~Ticket();

    // Service begins. Later calls change nothing.
    void Start();

   private:
    friend class Admission;
    using Count = std::map<std::string, size_t, std::less<>>::iterator;
    Ticket(std::shared_ptr<State> state, Count key, Count client)
        : state_(std::move(state)), key_(key), client_(client) {}
    void Return();

    std::shared_ptr<State> state_;
    Count key_;
    Count client_;
    std::optional<TimePoint> started_;
  };

  explicit Admission(Options options);

  // A ticket, or at once RESOURCE_EXHAUSTED naming the limit, with kRetryPayload (the moving
  // average of the time of service, times those waiting, over those running), or UNAVAILABLE once
  // closed. The reason is kReasonQuota where the client's own limit is reached. Keys and clients
  // are forgotten once none of theirs is inside.
  absl::StatusOr<Ticket> Admit(std::string_view key, std::string_view client = "");

  // Admits no more ("draining"). Those inside are not touched.
  void Close();
  // Blocks until nobody is inside, which it tells by true, or until `deadline`.
  bool WaitIdle(TimePoint deadline) const;

  size_t waiting() const;
  size_t running() const;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace ddpt
