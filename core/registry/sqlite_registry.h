#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/clock.h"
#include "core/registry/denoiser_files.h"
#include "core/registry/registry.h"
#include "core/registry/sqlite_database.h"

namespace ddpt {

struct SqliteRegistryOptions {
  std::string state_directory;  // created where it is missing
  RegistryLimits limits = {};
  const Clock* clock = &SystemClock();  // not owned, never null
};

// The registry of one server in one directory:
//   <state>/ddpt.sqlite3    the records
//   DenoiserFiles           written before, and removed after, the records that name them
// Files without a record, as a crash in between leaves them, are removed when the registry opens.
class SqliteRegistry final : public Registry {
 public:
  // FAILED_PRECONDITION, naming the lock and its holder, when another server has the directory.
  static absl::StatusOr<std::unique_ptr<SqliteRegistry>> Open(SqliteRegistryOptions options);

  absl::StatusOr<TaskVersion> ImportVersion(const std::string& task, std::string_view denoiser,
                                            const std::map<std::string, std::string>& attributes,
                                            Promotion promotion) override;
  absl::StatusOr<TaskPage> ListTasks(uint32_t page_size,
                                     std::string_view page_token) const override;
  absl::StatusOr<TaskRecord> GetTask(const std::string& name) const override;
  absl::StatusOr<std::vector<TaskVersion>> ListVersions(const std::string& name) const override;
  absl::StatusOr<TaskVersion> GetVersion(const std::string& name, uint64_t version) const override;
  absl::StatusOr<std::string> FetchDenoiser(const std::string& digest) override;
  absl::StatusOr<TaskRecord> PromoteTask(const std::string& name, uint64_t version,
                                         std::optional<uint64_t> expected_version) override;
  absl::StatusOr<TaskRecord> RollbackTask(const std::string& name,
                                          std::optional<uint64_t> expected_version) override;
  absl::Status DeleteTask(const std::string& name,
                          std::optional<uint64_t> expected_version) override;

 private:
  SqliteRegistry(SqliteRegistryOptions options, std::unique_ptr<DenoiserFiles> files,
                 std::unique_ptr<SqliteDatabase> database)
      : options_(std::move(options)), files_(std::move(files)), database_(std::move(database)) {}

  // The caller holds mutex_ from here on.
  absl::StatusOr<TaskRecord> ReadTask(const std::string& name) const;
  absl::StatusOr<TaskRecord> ReadExpectedTask(const std::string& name,
                                              std::optional<uint64_t> expected_version) const;
  absl::StatusOr<std::vector<TaskVersion>> ReadVersions(const std::string& name, uint64_t first,
                                                        uint64_t last) const;
  absl::StatusOr<TaskVersion> ReadVersion(const std::string& name, uint64_t version) const;
  // Forgets the versions that `versions_kept` leaves no room for; their digests.
  absl::StatusOr<std::vector<std::string>> Prune(const std::string& task);
  absl::Status CheckRoom(const std::string& task) const;
  absl::StatusOr<uint64_t> InsertVersion(const std::string& task, const std::string& digest,
                                         uint64_t size_bytes,
                                         const std::map<std::string, std::string>& attributes);
  absl::Status Activate(const std::string& task, uint64_t version);
  absl::Status Touch(const std::string& task);
  absl::StatusOr<bool> IsUsed(const std::string& digest) const;
  void RemoveIfUnused(const std::string& digest);

  const SqliteRegistryOptions options_;
  const std::unique_ptr<DenoiserFiles> files_;
  // Held through imports and deletions, so that readers need not wait for a large file and no file
  // is removed between its writing and its record. Taken before mutex_.
  std::mutex files_mutex_;
  mutable std::mutex mutex_;  // guards database_
  const std::unique_ptr<SqliteDatabase> database_;
};

}  // namespace ddpt
