#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/stop_token.h"
#include "core/runtime/bounded_queue.h"
#include "core/runtime/stream.h"

namespace ddpt {

// What a piece of work says when it returns.
enum class Progress {
  kDone,
  kYield,  // there is more: run me again when the others who wait have had their turn
};

// One piece of work for the pool. Both functions are required.
struct Work {
  std::string key = {};  // whose it is (a task's name); keys share the pool fairly
  Priority priority = Priority::kInteractive;
  StopToken stop = {};  // looked at whenever the work leaves the queue, also after a yield
  // Runs on a pool thread, with the stream that the thread owns. May throw. Whoever is long returns
  // kYield every few milliseconds, on whatever thread it runs next.
  std::function<Progress(Stream&)> run = nullptr;
  // Called once, instead of any further run(), if the work did not end by kDone: the reason to
  // stop, what run() threw (FromException, fault.h), or UNAVAILABLE when the pool stopped first.
  // Must not throw.
  std::function<void(const absl::Status&)> on_error = nullptr;
};

// A fixed number of threads, each with a Stream of its own, that run work: interactive before
// background, and fair between the keys of a priority (see BoundedQueue). This is the one place
// that catches exceptions (LibTorch's among them); the thread lives on. Thread-safe.
class StreamPool {
 public:
  struct Options {
    // 0..256. With 0, Submit runs the work, and all that this submits, before it returns: for
    // tests.
    size_t threads = 1;
    int device = kCpu;
    size_t queue_limit = 1024;  // works waiting
    // For long background work: the pool whose work goes first, for at most `patience` at a time
    // (GiveWay). Null: none. Must outlive this one.
    const StreamPool* behind = nullptr;
    std::chrono::milliseconds patience{100};
    // Told how long each work waited for a thread, after a yield anew. May be null; called on pool
    // threads.
    std::function<void(std::chrono::nanoseconds)> on_wait = nullptr;
    // Told once, on a pool thread and before the work that met it, that the device answers no more.
    // May be null.
    std::function<void(const absl::Status&)> on_device_lost = nullptr;
  };

  // Starts the threads. INVALID_ARGUMENT naming the option, or Stream::Create's error.
  static absl::StatusOr<std::unique_ptr<StreamPool>> Create(Options options);
  // Drops what is queued (UNAVAILABLE) and blocks until the works that run return. Never called
  // from a pool thread.
  ~StreamPool();

  // Does not block. RESOURCE_EXHAUSTED naming the limit when the queue is full, UNAVAILABLE after
  // Stop; then neither function of `work` is called.
  absl::Status Submit(Work work);

  // Refuses new work, lets the accepted end, and blocks until it has or `deadline` passes: then
  // what is queued, or yields later, is told UNAVAILABLE, and the result is DEADLINE_EXCEEDED.
  absl::Status Stop(TimePoint deadline);

  // For the works of a pool behind another, every few milliseconds: blocks while that one has no
  // thread to spare.
  void GiveWay() const;

  // True while work waits for a thread: the moment for long work to yield.
  bool contended() const { return queue_.size() > 0; }
  // Works waiting, works running, threads.
  size_t waiting() const { return queue_.size(); }
  size_t busy() const { return busy_.load(std::memory_order_relaxed); }
  size_t threads() const { return threads_.size(); }
  // Threads that neither work nor are about to, a moment ago.
  size_t idle() const {
    const size_t taken = busy() + waiting();
    return taken < threads() ? threads() - taken : 0;
  }
  // While some work, the core of one idle thread is for what they need beside them: the network,
  // and callers on this machine.
  bool has_spare_thread() const {
    const size_t now = idle();
    return now > 1 || now == threads();
  }
  // OK until a device stops to answer; then its error, for ever.
  absl::Status health() const;

 private:
  struct Item : Work {
    TimePoint queued;
  };

  explicit StreamPool(Options options);
  void RunThread(Stream& stream);
  void RunInline();
  void RunItem(Item item, Stream& stream);
  absl::Status RunGuarded(Item& item, Stream& stream, Progress& progress);
  void CheckDevice(Stream& stream, const absl::Status& error);

  const Options options_;
  BoundedQueue<Item> queue_;
  std::atomic<size_t> busy_{0};
  std::atomic<bool> inline_running_{false};
  std::vector<std::unique_ptr<Stream>> streams_;
  std::vector<std::thread> threads_;

  mutable std::mutex mutex_;
  std::condition_variable exited_changed_;
  size_t exited_ = 0;    // guarded by mutex_
  absl::Status health_;  // guarded by mutex_
};

}  // namespace ddpt
