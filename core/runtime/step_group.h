#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/stop_token.h"
#include "core/runtime/stream.h"

namespace ddpt {

class StepGroup;

// What became of a job's time.
struct StepStats {
  std::chrono::nanoseconds queue_time{0};  // until its first row joined, or its end if none did
  std::chrono::nanoseconds run_time{0};    // from then to its end
  size_t batch_width = 0;                  // most rows, others' too, that advanced together with it
};

// One request for a StepBatcher: `rows` independent rows (draws) that each need many steps. Rows
// enter the group as room allows; the job is complete when all are. The StepBatcher owns it and
// calls all but stop() on pool threads, one call at a time.
class StepJob {
 public:
  virtual ~StepJob() = default;

  // How many rows, constant. 0 completes at once.
  virtual size_t rows() const = 0;
  // Looked at before every step. Thread-safe.
  virtual const StopToken& stop() const = 0;
  // A new, empty group for this job and those of the same key. Called only where there is none. May
  // throw.
  virtual absl::StatusOr<std::unique_ptr<StepGroup>> MakeGroup() = 0;
  // The end, exactly once; the job is destroyed after it. OK: the group has handed over every row.
  // Else CANCELLED, DEADLINE_EXCEEDED, the first row's error, what the group threw (INTERNAL,
  // RESOURCE_EXHAUSTED), or UNAVAILABLE at shutdown. Must not throw; may submit other jobs.
  virtual void Done(const absl::Status& status, const StepStats& stats) = 0;
};

// Rows that advance together, one step at a time: a thin adapter around, say, a LatentBatch, which
// lives from the first job of a key until none is left. One call at a time, but not always from one
// thread. All calls may throw: the jobs in the group then end with that error and the group is
// destroyed. It is also destroyed with rows inside.
class StepGroup {
 public:
  struct Finished {
    uint64_t id;
    absl::Status status;  // not OK ends the row's whole job
  };

  virtual ~StepGroup() = default;

  // How many rows have room, constant, >= 1.
  virtual size_t capacity() const = 0;
  // Whether a row of `job` fits beside those inside, where rows need more than one of that many
  // places, memory for instance. True where there are none.
  virtual bool HasRoom(StepJob& /*job*/) const { return true; }
  // Takes in row `row` (0..job.rows()-1) of `job` and returns an id, which no other row of this
  // group ever gets. There is room. `job` was submitted with this group's key (so its type is
  // known) and lives until its rows have finished or left. An error ends that job only.
  virtual absl::StatusOr<uint64_t> Join(StepJob& job, size_t row) = 0;
  // Gives up a row. Cheap.
  virtual void Leave(uint64_t id) = 0;
  // Advances every row by one step, or by several where that is a call's least (rows that end
  // sooner by fewer), and returns how many. Hands the results of finished rows to their jobs, lets
  // the rows go and appends them to `finished`.
  virtual size_t Step(Stream& stream, std::vector<Finished>& finished) = 0;

  // How many more threads a step has work for, constant.
  virtual size_t useful_helpers() const { return 0; }
  // Lends the calling thread to the steps that another takes, until `leave` says true or no step
  // has come for some microseconds. Thread-safe, also beside all other calls.
  virtual void Help(const std::function<bool()>& /*leave*/) {}
};

}  // namespace ddpt
