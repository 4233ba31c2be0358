#include "core/base/team.h"

#include <chrono>
#include <exception>
#include <utility>

namespace ddpt {
namespace {

// A pause takes 10 to 50 ns.
constexpr int kSpins = 2048;

thread_local Team* current = nullptr;

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Who has to wait for long shares a core with the one it waits for, or with others. To yield would
// leave it there; a sleeper wakes on a core that is idle.
template <typename Condition>
void SpinUntil(const Condition& condition) {
  for (int spins = 0; !condition(); ++spins) {
    if (spins < kSpins) {
      Pause();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(1));
    }
  }
}

}  // namespace

void Team::Member::Sync() {
  ++round_;
  team_.rounds_[part_].count.store(round_, std::memory_order_release);
  for (size_t other = 0; other < parts_; ++other) {
    const std::atomic<uint64_t>& count = team_.rounds_[other].count;
    SpinUntil([&] { return count.load(std::memory_order_acquire) >= round_; });
  }
}

void Team::Run(Body body) {
  size_t parts = 1;
  for (Helper& helper : helpers_) {
    Seat ready = Seat::kReady;
    if (helper.seat.load(std::memory_order_relaxed) == Seat::kReady &&
        helper.seat.compare_exchange_strong(ready, Seat::kTaken, std::memory_order_acquire)) {
      helper.part = parts++;
    }
  }
  for (size_t part = 0; part < parts; ++part) {
    rounds_[part].count.store(0, std::memory_order_relaxed);
  }
  body_ = &body;
  parts_ = parts;
  for (Helper& helper : helpers_) {
    if (helper.seat.load(std::memory_order_relaxed) == Seat::kTaken) {
      helper.seat.store(Seat::kAtWork, std::memory_order_release);
    }
  }
  Member leader(*this, 0, parts);
  body(leader);
  for (const Helper& helper : helpers_) {
    SpinUntil([&] { return helper.seat.load(std::memory_order_acquire) != Seat::kAtWork; });
  }
}

Team::Helper* Team::TakeSeat() {
  for (Helper& helper : helpers_) {
    Seat empty = Seat::kEmpty;
    if (helper.seat.compare_exchange_strong(empty, Seat::kReady, std::memory_order_acq_rel)) {
      return &helper;
    }
  }
  return nullptr;
}

void Team::Help(absl::FunctionRef<bool()> leave) {
  Helper* const own = TakeSeat();
  if (own == nullptr) return;
  for (int spins = 0;; ++spins) {
    if (own->seat.load(std::memory_order_acquire) == Seat::kAtWork) {
      Member member(*this, own->part, parts_);
      (*body_)(member);
      own->seat.store(Seat::kReady, std::memory_order_release);
      spins = 0;
    }
    if (kept_.load(std::memory_order_relaxed)) spins = 0;
    Seat ready = Seat::kReady;
    if ((spins > kSpins || leave()) &&
        own->seat.compare_exchange_strong(ready, Seat::kEmpty, std::memory_order_acq_rel)) {
      return;
    }
    Pause();
  }
}

size_t Team::helpers() const {
  size_t count = 0;
  for (const Helper& helper : helpers_) {
    if (helper.seat.load(std::memory_order_relaxed) != Seat::kEmpty) ++count;
  }
  return count;
}

TeamScope::TeamScope(Team& team) : team_(team) {
  team_.kept_ = true;
  current = &team_;
}

TeamScope::~TeamScope() {
  current = nullptr;
  team_.kept_ = false;
}

bool MayShareOut() { return current != nullptr; }

void ShareOut(size_t count, absl::FunctionRef<void(size_t)> body) {
  std::atomic<size_t> next{0};
  std::atomic_flag failed;
  std::exception_ptr error;
  const auto take = [&](Team::Member&) {
    try {
      for (size_t i = next++; i < count; i = next++) body(i);
    } catch (...) {
      if (!failed.test_and_set()) error = std::current_exception();
      next = count;
    }
  };
  Team* const team = std::exchange(current, nullptr);
  team->Run(take);
  current = team;
  if (error) std::rethrow_exception(error);
}

HelperThreads::HelperThreads(size_t count, std::function<void(Leave)> help)
    : help_(std::move(help)) {
  for (size_t i = 0; i < count; ++i) {
    threads_.emplace_back([this] {
      while (!leave_) help_([this] { return leave_.load(std::memory_order_relaxed); });
    });
  }
}

HelperThreads::~HelperThreads() {
  leave_ = true;
  for (std::thread& thread : threads_) thread.join();
}

}  // namespace ddpt
