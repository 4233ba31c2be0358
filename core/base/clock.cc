#include "core/base/clock.h"

namespace ddpt {
namespace {

class MachineClock : public Clock {
 public:
  int64_t WallMicros() const override {
    const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::microseconds>(since_epoch).count();
  }
};

}  // namespace

const Clock& SystemClock() {
  static const MachineClock clock;
  return clock;
}

}  // namespace ddpt
