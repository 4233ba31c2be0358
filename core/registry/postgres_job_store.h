#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/registry/job_store.h"
#include "core/registry/postgres_database.h"

namespace ddpt {

struct PostgresJobStoreOptions {
  uint64_t max_unfinished = 64;  // of all servers together
  std::chrono::milliseconds lease{15'000};
};

// The jobs of several servers. A job that is taken has an owner, a lease that ends at a time of the
// database's clock, and a number that counts its takings: who writes for a job names owner and
// number, and is refused where they are another's.
class PostgresJobStore final : public JobStore {
 public:
  // `database` must outlive the store.
  static absl::StatusOr<std::unique_ptr<PostgresJobStore>> Open(PostgresDatabase& database,
                                                                PostgresJobStoreOptions options);

  absl::StatusOr<Job> CreateJob(const Job& job) override;
  absl::StatusOr<Job> GetJob(const std::string& id) const override;
  absl::StatusOr<Job> FindJob(const std::string& operation_id) const override;
  absl::StatusOr<JobPage> ListJobs(const std::string& task, uint32_t page_size,
                                   std::string_view page_token) const override;
  absl::StatusOr<std::vector<Job>> UnfinishedJobs() const override;
  absl::StatusOr<std::optional<Job>> TakeJob() override;
  std::chrono::milliseconds lease() const override { return options_.lease; }
  absl::StatusOr<Job> RenewJob(const Job& job) override;
  absl::Status LeaveJob(const Job& job) override;
  absl::Status SaveCheckpoint(const Job& job, std::string_view state) override;
  absl::StatusOr<std::string> ReadCheckpoint(const std::string& id) const override;
  absl::StatusOr<uint64_t> UpdateJob(const Job& job, std::string_view payload) override;
  absl::StatusOr<Job> RequestCancel(const std::string& id) override;
  absl::StatusOr<std::vector<JobEvent>> ListEvents(const std::string& id, uint64_t after,
                                                   uint32_t limit) const override;
  absl::StatusOr<uint64_t> RemoveFinishedBefore(int64_t micros) override;

 private:
  PostgresJobStore(PostgresDatabase& database, PostgresJobStoreOptions options, std::string owner)
      : database_(database), options_(options), owner_(std::move(owner)) {}

  // The job's row, locked until the transaction ends, if this store may write it.
  absl::StatusOr<Job> LockJob(PostgresTransaction& transaction, const Job& job) const;

  PostgresDatabase& database_;
  const PostgresJobStoreOptions options_;
  const std::string owner_;  // random
};

}  // namespace ddpt
