#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"

namespace ddpt {

// A thread that has work of microseconds to do over and over, and the helpers who lend themselves
// for it: each Run() is one function carried out by all present at the same time, each for its
// part, meeting at Sync(). Nobody waits for a helper to come, and one who comes or goes does so
// between two runs. Meeting costs 0.1 to 0.3 us between two cores. Those who wait for another spin,
// and after some 50 us of it sleep.
class Team {
 public:
  static constexpr size_t kMaxHelpers = 7;

  // What one member of a run sees.
  class Member {
   public:
    size_t part() const { return part_; }
    size_t parts() const { return parts_; }
    // Returns when all members have called it as often as this one; what they wrote before can be
    // read after.
    void Sync();

   private:
    friend class Team;
    Member(Team& team, size_t part, size_t parts) : team_(team), part_(part), parts_(parts) {}

    Team& team_;
    const size_t part_, parts_;
    uint64_t round_ = 0;
  };
  using Body = absl::FunctionRef<void(Member&)>;

  Team() = default;
  // Nobody may be inside Run() or Help() any more.
  ~Team() = default;
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  // Calls `body` here as part 0 and in the helpers present as parts 1.., and returns when all have.
  // `body` must not throw. One call at a time.
  void Run(Body body);

  // Lends this thread until `leave` says true between runs, or, where no TeamScope has the team,
  // until no run has come for about 50 us. Returns at once where kMaxHelpers are there already.
  // `leave` is called all the time, so it takes nanoseconds and does not throw. Thread-safe.
  void Help(absl::FunctionRef<bool()> leave);

  // Helpers waiting or at work, a moment ago. Thread-safe.
  size_t helpers() const;

 private:
  friend class TeamScope;

  enum class Seat : uint32_t {
    kEmpty,
    kReady,   // its helper waits for a run
    kTaken,   // counted into the next run
    kAtWork,  // its helper runs the body
  };
  // Of one helper; written by two threads, so a cache line of its own.
  struct alignas(64) Helper {
    std::atomic<Seat> seat{Seat::kEmpty};
    size_t part = 0;
  };
  struct alignas(64) Round {
    std::atomic<uint64_t> count{0};
  };

  Helper* TakeSeat();

  std::array<Helper, kMaxHelpers> helpers_;
  std::array<Round, kMaxHelpers + 1> rounds_;  // by part
  std::atomic<bool> kept_{false};              // helpers stay without a run
  const Body* body_ = nullptr;
  size_t parts_ = 1;
};

// For work of milliseconds whose parts are far apart. Until the end of the object the helpers of
// the team stay between runs, spinning, and ShareOut() on this thread is for them too. Scopes do
// not nest.
class TeamScope {
 public:
  explicit TeamScope(Team& team);
  ~TeamScope();
  TeamScope(const TeamScope&) = delete;
  TeamScope& operator=(const TeamScope&) = delete;

 private:
  Team& team_;
};

// Whether a TeamScope lives on this thread. Not so inside a ShareOut().
bool MayShareOut();
// Calls body(i) once for each i below `count`, in any order, on this thread and on the helpers of
// its TeamScope, which it must have. Blocks until all calls are over; throws the first of what they
// threw, after which others may not have been made.
void ShareOut(size_t count, absl::FunctionRef<void(size_t)> body);

// Threads of one's own that help until the end of this object, for where no pool lends any.
class HelperThreads {
 public:
  using Leave = absl::FunctionRef<bool()>;

  // Each thread calls `help`, which passes its argument on to Team::Help, again and again.
  HelperThreads(size_t count, std::function<void(Leave)> help);
  // Blocks until the threads are gone.
  ~HelperThreads();
  HelperThreads(const HelperThreads&) = delete;
  HelperThreads& operator=(const HelperThreads&) = delete;

 private:
  std::atomic<bool> leave_{false};
  const std::function<void(Leave)> help_;
  std::vector<std::thread> threads_;
};

}  // namespace ddpt
