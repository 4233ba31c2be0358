#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "core/runtime/admission.h"
#include "core/runtime/step_group.h"
#include "core/runtime/stream_pool.h"

namespace ddpt {

// Batches jobs of many steps at step boundaries: a job joins the running rows of its key at the
// next step at which the group has room for it, takes turns for free places with the other jobs of
// its key (row by row, so that a job of many rows does not hold up the next), and leaves when it is
// complete or within one step of being stopped. A job whose deadline has passed never runs. Each
// key's group holds at most one thread of the pool, and hands it back between slices of steps when
// other work waits, so that keys share the pool fairly. Threads that would be idle help with the
// steps of a group that can use them, and leave it within a step when other work comes. How many
// jobs may wait is Admission's business: every job brings its ticket, which turns to running at its
// first step and is returned after Done(). Thread-safe; callbacks and group calls happen outside
// locks.
class StepBatcher {
 public:
  // A run of steps of one group.
  struct Slice {
    size_t steps = 0;
    size_t row_steps = 0;              // sum over the steps of the rows that advanced
    std::chrono::nanoseconds time{0};  // all steps together
  };

  struct Options {
    // A slice ends at whichever comes first. Between slices waiting work may take over the thread.
    size_t slice_steps = 64;
    std::chrono::microseconds slice_time{2000};
    // For metrics; may be null, called on pool threads. The wait of each job that began, and each
    // slice.
    std::function<void(std::chrono::nanoseconds)> on_queue_time = nullptr;
    std::function<void(const Slice&)> on_slice = nullptr;
  };

  // `pool` must outlive the StepBatcher.
  StepBatcher(StreamPool& pool, Options options);
  // Stop(), then blocks until every job has ended. Never called from a pool thread.
  ~StepBatcher();

  // Does not block (with an inline pool: returns when nothing is left to do). `key` names the
  // group: equal keys mean that the jobs may share one, so it holds the version, not only the task.
  // A job that the pool has no room for ends with the pool's status, on the calling thread.
  void Submit(const std::string& key, std::unique_ptr<StepJob> job, Admission::Ticket ticket);

  // Who else is there.
  struct Load {
    size_t rows = 0;  // of this key's jobs, running and waiting
    size_t keys = 0;  // that have jobs, this one apart
  };
  Load LoadBeside(const std::string& key) const;

  // Ends all jobs, and those still to come, with UNAVAILABLE within one step. Does not block. For
  // what remains when the time to drain is over.
  void Stop();

 private:
  class Group;

  StreamPool& pool_;
  const Options options_;
  std::atomic<bool> stopping_{false};
  mutable std::mutex mutex_;
  std::condition_variable group_ended_;
  std::unordered_map<std::string, std::shared_ptr<Group>> groups_;  // guarded by mutex_
};

}  // namespace ddpt
