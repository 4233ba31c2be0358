#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/stop_token.h"
#include "core/registry/job_store.h"
#include "core/runtime/stream_pool.h"

namespace ddpt {

// The work of one job in pieces. Where a piece is long it has pause points (core/base/pause.h), at
// which it gives way to the work of the pool that its own is behind.
class JobWork {
 public:
  enum class Next {
    kRun,     // there is more
    kSave,    // there is more, and what has been reached is to be kept
    kFinish,  // all is done but Finish
  };
  struct Piece {
    Next next = Next::kRun;
    std::string event;  // payload of an event to append; "": nothing to tell
  };

  virtual ~JobWork() = default;
  // The next piece, on a pool thread; may throw. Notes in `job` what has become of it. An error
  // ends the job, but for UNAVAILABLE, after which the piece is tried again.
  virtual absl::StatusOr<Piece> Run(Job& job, const StopToken& stop) = 0;
  // Keeps what another work for the same job can go on from. Blocks on storage.
  virtual absl::Status Save(const Job& job) = 0;
  // Makes the result lasting and notes it in `job`. Blocks on storage; after UNAVAILABLE or a crash
  // it happens again.
  virtual absl::Status Finish(Job& job) = 0;
};

// Runs the jobs of a JobStore one after the other, in pieces on a StreamPool, one behind another as
// a rule. A job that the process's end interrupts stays kRunning in the
// store; this or another runner on the same records takes it up. A runner that can no longer hold
// its job, because others may have taken it, stops it after the present piece. Thread-safe.
class JobRunner {
 public:
  struct Options {
    // The work of a job from where it was saved last; on a pool thread, may throw. Required.
    std::function<absl::StatusOr<std::unique_ptr<JobWork>>(const Job&)> make_work;
    // A job has come to this runner (no `from`), changed its state here, or been taken by another
    // runner (no `to`). May be null.
    std::function<void(const Job& job, std::optional<JobState> from, std::optional<JobState> to)>
        on_state;
    // The store, or a Save for want of room or at the end of the process, failed; the job waits, or
    // goes on. Without an id: no job could be looked for. May be null.
    std::function<void(const Job& job, const absl::Status&)> on_trouble;
    // Between two attempts to store how a job ended, or what it has reached on a full disk.
    std::chrono::milliseconds retry_after{1000};
    // Between two looks for a job of which nobody told.
    std::chrono::milliseconds poll{1000};
  };

  // Begins to take the jobs of `store`; blocks on it. Store and pool must outlive the runner.
  static absl::StatusOr<std::unique_ptr<JobRunner>> Create(JobStore& store, StreamPool& pool,
                                                           Options options);
  ~JobRunner();  // Stop

  // Stores a new job and queues it; blocks on storage. Errors as JobStore::CreateJob.
  absl::StatusOr<Job> Submit(const Job& job);
  // Ends a job after its present piece, as kCancelled. The job as it is now: a finished one is
  // returned unchanged. Blocks on storage.
  absl::StatusOr<Job> Cancel(const std::string& id);
  // Another runner may have changed this job (a new one, its state, a wish to cancel it); "": any.
  // Blocks on storage. An error: what has become of it is not known.
  absl::Status Notice(const std::string& id);
  // Lets the present piece end, saves the job where that is possible and runs nothing more.
  // Listeners are told. Does not block; the pool's threads may call it.
  void Cease();
  // The same, and blocks for that piece.
  void Stop();
  bool stopping() const;
  // The id of the job that runs here; "" for none.
  std::string running() const;

  // Calls `listener` after each event of the job, and at Stop, on any thread, without a lock held.
  // It must not block. A call may still come while Unlisten returns.
  uint64_t Listen(const std::string& id, std::function<void()> listener);
  void Unlisten(uint64_t number);

 private:
  struct Listener {
    std::string job;
    std::function<void()> call;
  };

  JobRunner(JobStore& store, StreamPool& pool, Options options)
      : store_(store), pool_(pool), options_(std::move(options)) {}
  void RunThread();
  std::optional<Job> NextJob();
  absl::StatusOr<std::optional<Job>> Take();
  void RunJob(Job job);
  void HoldJob(const Job& job, const std::stop_token& ended);
  void Lose();
  absl::Status Drive(Job& job, const StopToken& stop);
  absl::Status Retry(const Job& job, const StopToken& stop,
                     const std::function<bool(const absl::Status&)>& passing,
                     const std::function<absl::Status()>& attempt);
  absl::Status OnPool(const StopToken& stop, const std::function<absl::Status()>& body);
  bool Conclude(Job& job, const absl::Status& status);
  absl::Status Record(const Job& job, std::string_view event, JobState from);
  bool Pause(std::chrono::milliseconds time);
  void Tell(const std::string& job);  // "": all listeners
  void Trouble(const Job& job, const absl::Status& status) const;
  void Changed(const Job& job, std::optional<JobState> from, std::optional<JobState> to) const;
  bool lost() const;

  JobStore& store_;
  StreamPool& pool_;
  const Options options_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::condition_variable_any job_ended_;
  // Guarded by mutex_:
  bool stopping_ = false;
  bool news_ = false;  // there may be a job to take
  bool lost_ = false;  // the running job, to another runner
  std::string running_;
  std::optional<StopSource> running_stop_;
  std::map<uint64_t, std::shared_ptr<const Listener>> listeners_;
  uint64_t next_listener_ = 1;

  std::mutex queue_mutex_;         // held, before mutex_, while jobs are made, taken or looked at
  std::set<std::string> waiting_;  // that on_state was told of as kQueued; guarded by queue_mutex_
  std::mutex stop_mutex_;          // held while thread_ is joined
  std::thread thread_;
};

}  // namespace ddpt
