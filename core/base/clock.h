#pragma once

#include <chrono>
#include <cstdint>

namespace ddpt {

// Wall time behind an interface, for records that outlive the process (created_at, retention).
// Durations are measured with std::chrono::steady_clock directly. Implementations are thread-safe.
// tests/fakes has a settable one.
class Clock {
 public:
  virtual ~Clock() = default;
  // Microseconds since 1970-01-01 UTC.
  virtual int64_t WallMicros() const = 0;
};

// The machine's clock; lives for ever.
const Clock& SystemClock();

}  // namespace ddpt
