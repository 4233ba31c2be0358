#pragma once

#include <atomic>
#include <cstdint>

#include "core/base/clock.h"

namespace ddpt {

// A clock that stands still until it is told otherwise. Thread-safe.
class FakeClock : public Clock {
 public:
  explicit FakeClock(int64_t micros = 1'700'000'000'000'000) : micros_(micros) {}

  int64_t WallMicros() const override { return micros_.load(); }
  void Set(int64_t micros) { micros_.store(micros); }
  void Advance(int64_t micros) { micros_.fetch_add(micros); }

 private:
  std::atomic<int64_t> micros_;
};

}  // namespace ddpt
