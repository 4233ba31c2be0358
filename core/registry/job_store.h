#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace ddpt {

// A training job's life; it only moves downwards.
enum class JobState { kQueued, kRunning, kSucceeded, kFailed, kCancelled };
inline bool IsFinished(JobState state) { return state >= JobState::kSucceeded; }

struct Job {
  std::string id = {};            // "job-17"
  std::string operation_id = {};  // the client's name for the request that started it
  std::string task = {};
  std::string request = {};  // what was asked for, in a form of the caller's
  JobState state = JobState::kQueued;
  bool cancel_requested = false;
  uint64_t step = 0;                 // optimizer steps done
  uint64_t resumes = 0;              // how often it went on after its server had stopped or died
  uint64_t version = 0;              // of the task, once kSucceeded
  std::string denoiser_digest = {};  // likewise
  double train_loss = 0;             // nats per token, of the last steps
  double validation_nll = 0;         // nats per token, best so far
  double validation_nll_none = 0;
  std::string error = {};  // why it is kFailed
  int64_t created_at_micros = 0;
  int64_t updated_at_micros = 0;
  uint64_t lease = 0;  // how manieth taking of the job this is; of the store that gave it
};

struct JobPage {
  std::vector<Job> jobs;        // newest first
  std::string next_page_token;  // empty on the last page
};

// One thing that happened to a job.
struct JobEvent {
  uint64_t number = 0;  // 1, 2, 3, ... within the job
  int64_t time_micros = 0;
  Job job;              // after the event; without `request`
  std::string payload;  // in a form of the caller's
};

// Of what a job goes on from.
inline constexpr uint64_t kMaxCheckpointBytes = uint64_t{4} << 30;

// Training jobs and what happened to them, kept across restarts. Every call is one durable step:
// it happens wholly or not at all, and once it returned OK it survives a crash.
//
// Several stores of as many servers may share their records. Whoever runs a job has taken it: of
// two stores no two have one job at a time, and what is written for a job that another store has
// taken since is ABORTED.
//
// Thread-safe. Every call blocks on storage. Errors besides those named at the calls: an unknown
// job is NOT_FOUND, a full disk RESOURCE_EXHAUSTED, records out of reach UNAVAILABLE.
class JobStore {
 public:
  virtual ~JobStore() = default;

  // A new job in the state kQueued, with its first event. The fields that count are operation_id
  // (1..128 bytes), task and request. ALREADY_EXISTS where the operation_id has a job: FindJob then
  // gives it. RESOURCE_EXHAUSTED names the limit of unfinished jobs.
  virtual absl::StatusOr<Job> CreateJob(const Job& job) = 0;
  virtual absl::StatusOr<Job> GetJob(const std::string& id) const = 0;
  // By operation_id.
  virtual absl::StatusOr<Job> FindJob(const std::string& operation_id) const = 0;
  // At most `page_size` (1..1000) jobs, of all tasks where `task` is "", after those of the page
  // that gave `page_token`.
  virtual absl::StatusOr<JobPage> ListJobs(const std::string& task, uint32_t page_size,
                                           std::string_view page_token) const = 0;
  // Queued and running ones, oldest first.
  virtual absl::StatusOr<std::vector<Job>> UnfinishedJobs() const = 0;

  // The oldest job that waits or that was left, now kRunning and this store's, with an event; one
  // that ran before has `resumes` counted up. nullopt: there is none.
  virtual absl::StatusOr<std::optional<Job>> TakeJob() = 0;
  // How long a taken job stays taken unless RenewJob is called; 0: as long as the store lives, and
  // nobody else has these records.
  virtual std::chrono::milliseconds lease() const = 0;
  // The job as it is now, taken for another lease().
  virtual absl::StatusOr<Job> RenewJob(const Job& job) = 0;
  // Leaves a taken job to the next who asks.
  virtual absl::Status LeaveJob(const Job& job) = 0;

  // Replaces the state that the job goes on from, and stores its figures, as UpdateJob does but
  // without an event. RESOURCE_EXHAUSTED names kMaxCheckpointBytes.
  virtual absl::Status SaveCheckpoint(const Job& job, std::string_view state) = 0;
  // What was saved last; "" for nothing, and for jobs that have finished.
  virtual absl::StatusOr<std::string> ReadCheckpoint(const std::string& id) const = 0;

  // Stores what has become of a job, all but id, operation_id, task, request, cancel_requested and
  // times, and appends an event that tells it. FAILED_PRECONDITION where the job has finished
  // before. The event's number.
  virtual absl::StatusOr<uint64_t> UpdateJob(const Job& job, std::string_view payload) = 0;
  // Notes the wish; one that is still queued is kCancelled at once, with an event that has no
  // payload. A finished job is returned unchanged.
  virtual absl::StatusOr<Job> RequestCancel(const std::string& id) = 0;
  // At most `limit` events after number `after`, in order.
  virtual absl::StatusOr<std::vector<JobEvent>> ListEvents(const std::string& id, uint64_t after,
                                                           uint32_t limit) const = 0;
  // Forgets jobs that finished before this time, and their events. How many.
  virtual absl::StatusOr<uint64_t> RemoveFinishedBefore(int64_t micros) = 0;
};

}  // namespace ddpt
