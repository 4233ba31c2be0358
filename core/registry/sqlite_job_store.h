#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/clock.h"
#include "core/registry/job_store.h"
#include "core/registry/sqlite_database.h"

namespace ddpt {

struct SqliteJobStoreOptions {
  std::string state_directory;  // of a SqliteRegistry that is open: its lock is held for both
  uint64_t max_unfinished = 64;
  const Clock* clock = &SystemClock();  // not owned, never null
};

// The jobs of one server, in <state>/ddpt.sqlite3 beside the records of its registry, through a
// connection of their own; what they go on from in files <state>/jobs/<id>.checkpoint.
class SqliteJobStore final : public JobStore {
 public:
  static absl::StatusOr<std::unique_ptr<SqliteJobStore>> Open(SqliteJobStoreOptions options);

  absl::StatusOr<Job> CreateJob(const Job& job) override;
  absl::StatusOr<Job> GetJob(const std::string& id) const override;
  absl::StatusOr<Job> FindJob(const std::string& operation_id) const override;
  absl::StatusOr<JobPage> ListJobs(const std::string& task, uint32_t page_size,
                                   std::string_view page_token) const override;
  absl::StatusOr<std::vector<Job>> UnfinishedJobs() const override;
  absl::StatusOr<std::optional<Job>> TakeJob() override;
  std::chrono::milliseconds lease() const override { return {}; }
  absl::StatusOr<Job> RenewJob(const Job& job) override { return GetJob(job.id); }
  absl::Status LeaveJob(const Job& job) override;
  absl::Status SaveCheckpoint(const Job& job, std::string_view state) override;
  absl::StatusOr<std::string> ReadCheckpoint(const std::string& id) const override;
  absl::StatusOr<uint64_t> UpdateJob(const Job& job, std::string_view payload) override;
  absl::StatusOr<Job> RequestCancel(const std::string& id) override;
  absl::StatusOr<std::vector<JobEvent>> ListEvents(const std::string& id, uint64_t after,
                                                   uint32_t limit) const override;
  absl::StatusOr<uint64_t> RemoveFinishedBefore(int64_t micros) override;

 private:
  SqliteJobStore(SqliteJobStoreOptions options, std::unique_ptr<SqliteDatabase> database)
      : options_(std::move(options)), database_(std::move(database)) {}

  std::string CheckpointPath(const std::string& id) const;
  // Removes the checkpoints of jobs that are not there any more or have finished.
  absl::Status RemoveOldCheckpoints();

  // The caller holds mutex_ from here on, and those that write have begun a transaction.
  absl::StatusOr<Job> ReadJob(const std::string& id) const;
  absl::Status StoreFigures(const Job& job);
  absl::Status CheckRoom(const std::string& operation_id) const;
  // Keeps the job's record as it is now as its next event, and gives the event's number.
  absl::StatusOr<uint64_t> AppendEvent(const std::string& id, std::string_view payload);

  const SqliteJobStoreOptions options_;
  mutable std::mutex mutex_;  // guards database_ and taken_
  const std::unique_ptr<SqliteDatabase> database_;
  std::set<std::string> taken_;  // ids
};

}  // namespace ddpt
