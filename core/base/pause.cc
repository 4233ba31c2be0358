#include "core/base/pause.h"

#include <utility>

namespace ddpt {
namespace {

thread_local const std::function<void()>* current = nullptr;

// Another value of `current` until the end of the block.
struct Replaced {
  explicit Replaced(const std::function<void()>* value) : before(std::exchange(current, value)) {}
  ~Replaced() { current = before; }
  const std::function<void()>* const before;
};

}  // namespace

PauseScope::PauseScope(std::function<void()> at_pause)
    : at_pause_(std::move(at_pause)), before_(std::exchange(current, &at_pause_)) {}

PauseScope::~PauseScope() { current = before_; }

bool MayPause() { return current != nullptr; }

void PausePoint() {
  if (current == nullptr) return;
  const Replaced none(nullptr);
  (*none.before)();
}

}  // namespace ddpt
