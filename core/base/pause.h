#pragma once

#include <functional>

namespace ddpt {

// Where a long computation lets others go first: it calls PausePoint every few milliseconds, and
// whoever runs it has said, for this thread, what happens there. What happens may compute in turn;
// its own pause points do nothing.

// While it lives, `at_pause` is what PausePoint calls on this thread. Scopes nest.
class PauseScope {
 public:
  explicit PauseScope(std::function<void()> at_pause);
  ~PauseScope();
  PauseScope(const PauseScope&) = delete;
  PauseScope& operator=(const PauseScope&) = delete;

 private:
  const std::function<void()> at_pause_;
  const std::function<void()>* const before_;
};

// Whether PausePoint does anything here.
bool MayPause();
// What it calls may throw.
void PausePoint();

}  // namespace ddpt
