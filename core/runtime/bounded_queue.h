#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <iterator>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/stop_token.h"

namespace ddpt {

// Who goes first. Background work runs only when nothing interactive waits.
enum class Priority { kInteractive, kBackground };

// A bounded queue between many producers and many consumers. Jobs of one key leave in the order in
// which they came; between keys of one priority the turn goes round, one job each, so that a key
// with a thousand jobs delays another key's by one job only. Jobs whose stop token has stopped
// never reach a consumer: Pop tells them CANCELLED or DEADLINE_EXCEEDED.
//
// Job is movable and has the members
//   std::string key;  Priority priority;  StopToken stop;
//   on_error, callable with an absl::Status: the job was accepted and will not run.
// The queue never calls a job under its lock. Thread-safe; must outlive all calls.
template <typename Job>
class BoundedQueue {
 public:
  explicit BoundedQueue(size_t limit) : limit_(limit) {}

  // Does not block. RESOURCE_EXHAUSTED naming the limit when full, UNAVAILABLE when closed; a
  // refused job is destroyed without a call. Those whose token has stopped are told so before the
  // queue counts as full.
  absl::Status Push(Job job) {
    std::vector<Job> stopped;
    absl::Status status;
    {
      std::lock_guard lock(mutex_);
      if (closed_) return absl::UnavailableError("draining: the queue is closed");
      if (size() >= limit_) stopped = RemoveStopped();
      if (size() < limit_) {
        Insert(std::move(job));
      } else {
        status = absl::ResourceExhaustedError(
            absl::StrCat("the queue's limit of ", limit_, " is reached"));
      }
    }
    for (Job& each : stopped) each.on_error(each.stop.status());
    return status;
  }

  // Puts a job that came out of Pop at the end of its key again. Takes it above the limit too (at
  // most by the number of consumers) and after Close(); after DropAll() the job is told that
  // status.
  void Requeue(Job job) {
    std::unique_lock lock(mutex_);
    if (dropped_.ok()) return Insert(std::move(job));
    const absl::Status status = dropped_;
    lock.unlock();
    job.on_error(status);
  }

  // The next job that may run. Blocks while there is none; nothing when `deadline` passes or the
  // queue is closed and has none. A deadline in the past makes it a poll.
  std::optional<Job> Pop(TimePoint deadline) {
    while (std::optional<Job> job = Take(deadline)) {
      const absl::Status status = job->stop.status();
      if (status.ok()) return job;
      job->on_error(status);
    }
    return std::nullopt;
  }

  // Push refuses from now on; what is queued still comes out of Pop.
  void Close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    arrived_.notify_all();
  }

  // Closes, and tells every queued job `status`, which must not be OK.
  void DropAll(const absl::Status& status) {
    std::vector<Job> jobs;
    {
      std::lock_guard lock(mutex_);
      closed_ = true;
      dropped_ = status;
      while (size() > 0) jobs.push_back(Remove());
      arrived_.notify_all();
    }
    for (Job& job : jobs) job.on_error(status);
  }

  // A moment ago.
  size_t size() const { return size(Priority::kInteractive) + size(Priority::kBackground); }
  size_t size(Priority priority) const {
    return lanes_[static_cast<size_t>(priority)].size.load(std::memory_order_relaxed);
  }

 private:
  struct Lane {
    std::atomic<size_t> size{0};                            // written under mutex_, read anywhere
    std::unordered_map<std::string, std::deque<Job>> jobs;  // no empty entries
    std::deque<std::string> turns;                          // the keys of `jobs`, next one first
  };

  std::optional<Job> Take(TimePoint deadline) {
    std::unique_lock lock(mutex_);
    arrived_.wait_until(lock, deadline, [this] { return size() > 0 || closed_; });
    if (size() == 0) return std::nullopt;
    return Remove();
  }

  void Insert(Job job) {
    Lane& lane = lanes_[static_cast<size_t>(job.priority)];
    std::deque<Job>& jobs = lane.jobs[job.key];
    if (jobs.empty()) lane.turns.push_back(job.key);
    jobs.push_back(std::move(job));
    ++lane.size;
    arrived_.notify_one();
  }

  std::vector<Job> RemoveStopped() {
    std::vector<Job> stopped;
    for (Lane& lane : lanes_) {
      for (auto entry = lane.jobs.begin(); entry != lane.jobs.end();) {
        std::deque<Job>& jobs = entry->second;
        const auto first = std::stable_partition(
            jobs.begin(), jobs.end(), [](const Job& job) { return job.stop.status().ok(); });
        lane.size -= static_cast<size_t>(jobs.end() - first);
        std::move(first, jobs.end(), std::back_inserter(stopped));
        jobs.erase(first, jobs.end());
        if (!jobs.empty()) {
          ++entry;
          continue;
        }
        std::erase(lane.turns, entry->first);
        entry = lane.jobs.erase(entry);
      }
    }
    return stopped;
  }

  Job Remove() {
    Lane& lane = lanes_[0].turns.empty() ? lanes_[1] : lanes_[0];
    std::string key = std::move(lane.turns.front());
    lane.turns.pop_front();
    const auto entry = lane.jobs.find(key);
    Job job = std::move(entry->second.front());
    entry->second.pop_front();
    if (entry->second.empty()) {
      lane.jobs.erase(entry);
    } else {
      lane.turns.push_back(std::move(key));
    }
    --lane.size;
    return job;
  }

  const size_t limit_;
  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  // Guarded by mutex_:
  std::array<Lane, 2> lanes_;
  bool closed_ = false;
  absl::Status dropped_;
};

}  // namespace ddpt
