#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/registry/registry.h"
#include "core/registry/sqlite_database.h"

namespace ddpt {

struct SqliteRegistryOptions {
  std::string state_directory;  // created where it is missing
  uint64_t max_tasks = 4096;
  uint64_t max_versions_per_task = 1000;
  // An import forgets a task's older versions, but for the active one and the one that a rollback
  // leads to. 0: none.
  uint64_t versions_kept = 0;
  const Clock* clock = &SystemClock();  // not owned, never null
};

// The registry of one server in one directory:
//   <state>/ddpt.sqlite3                      the records
//   <state>/denoisers/<sha256>.safetensors    the files; written before, and removed after, the
//                                             records that name them
//   <state>/lock                              held as long as the object lives
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
  absl::StatusOr<TaskRecord> PromoteTask(const std::string& name, uint64_t version,
                                         std::optional<uint64_t> expected_version) override;
  absl::StatusOr<TaskRecord> RollbackTask(const std::string& name,
                                          std::optional<uint64_t> expected_version) override;
  absl::Status DeleteTask(const std::string& name,
                          std::optional<uint64_t> expected_version) override;

 private:
  SqliteRegistry(SqliteRegistryOptions options, std::unique_ptr<FileLock> lock,
                 std::unique_ptr<SqliteDatabase> database);

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
  void RemoveIfUnused(const std::string& digest);
  absl::Status RemoveOrphans();

  std::string PathOf(const std::string& digest) const;

  const SqliteRegistryOptions options_;
  const std::string denoisers_;
  const std::unique_ptr<FileLock> lock_;
  // Held through imports and deletions, so that readers need not wait for a large file and no file
  // is removed between its writing and its record. Taken before mutex_.
  std::mutex files_mutex_;
  mutable std::mutex mutex_;  // guards database_
  const std::unique_ptr<SqliteDatabase> database_;
};

}  // namespace ddpt
