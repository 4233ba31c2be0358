#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace ddpt {

// One denoiser of a task.
struct TaskVersion {
  std::string task;
  uint64_t version = 0;  // 1, 2, 3, ... within the task
  std::string digest;    // SHA-256 of the denoiser file, hexadecimal
  int64_t created_at_micros = 0;
  uint64_t size_bytes = 0;
  std::map<std::string, std::string> attributes;  // as given at the import, e.g. "reading"
};

struct TaskRecord {
  std::string name;
  uint64_t active_version = 0;  // 0: none
  uint64_t latest_version = 0;
  uint64_t version_count = 0;
  int64_t created_at_micros = 0;
  int64_t updated_at_micros = 0;  // of the last import, promotion or rollback
};

struct TaskPage {
  std::vector<TaskRecord> tasks;  // in the order of their names
  std::string next_page_token;    // empty on the last page
};

// Whether a new version becomes the active one.
enum class Promotion { kNever, kAlways };

struct RegistryLimits {
  uint64_t max_tasks = 4096;
  uint64_t max_versions_per_task = 1000;
  // An import forgets a task's older versions, but for the active one and the one that a rollback
  // leads to. 0: none.
  uint64_t versions_kept = 0;
};

// OK for [a-z0-9][a-z0-9-]{0,62}, else a FieldError of "task".
absl::Status CheckTaskName(std::string_view name);

// The tasks and the versions of their denoisers, kept across restarts. Every call is one durable
// step: it happens wholly or not at all, and once it returned OK it survives a crash. Several
// registries of as many servers may share their records.
//
// Thread-safe. Every call blocks on storage. Errors besides those named at the calls: a task name
// out of form is a FieldError, an unknown task NOT_FOUND, a full disk RESOURCE_EXHAUSTED, records
// out of reach UNAVAILABLE.
class Registry {
 public:
  virtual ~Registry() = default;

  // Stores `denoiser`, the bytes of a denoiser file, as a new version of `task`, which is created
  // where it is missing. The bytes that the task already has are the version that it has: that one
  // is returned, promoted if `promotion` says so, its attributes unchanged; they are stored again,
  // since they may have been damaged. At most 64 attributes of 64 KiB together. RESOURCE_EXHAUSTED
  // names the limit of tasks or versions. A registry may forget old versions then.
  virtual absl::StatusOr<TaskVersion> ImportVersion(
      const std::string& task, std::string_view denoiser,
      const std::map<std::string, std::string>& attributes, Promotion promotion) = 0;

  // At most `page_size` (1..1000) tasks, after those of the page that gave `page_token`.
  virtual absl::StatusOr<TaskPage> ListTasks(uint32_t page_size,
                                             std::string_view page_token) const = 0;
  virtual absl::StatusOr<TaskRecord> GetTask(const std::string& name) const = 0;

  // Newest first.
  virtual absl::StatusOr<std::vector<TaskVersion>> ListVersions(const std::string& name) const = 0;
  // The version, or for 0 the active one: FAILED_PRECONDITION when there is none.
  virtual absl::StatusOr<TaskVersion> GetVersion(const std::string& name,
                                                 uint64_t version) const = 0;

  // Where the denoiser file of a version lies on this machine, fetched there first where it is not.
  // NOT_FOUND: no version has this digest.
  virtual absl::StatusOr<std::string> FetchDenoiser(const std::string& digest) = 0;

  // The three below are ABORTED, naming both versions, when `expected_version` is given and is not
  // the active version (0: none is active).

  // Makes `version` the active one.
  virtual absl::StatusOr<TaskRecord> PromoteTask(const std::string& name, uint64_t version,
                                                 std::optional<uint64_t> expected_version) = 0;
  // Makes the version active that was so before the active one; repeated calls go further back, up
  // to 1,000 steps. FAILED_PRECONDITION when there is no earlier one.
  virtual absl::StatusOr<TaskRecord> RollbackTask(const std::string& name,
                                                  std::optional<uint64_t> expected_version) = 0;
  // Deletes the task, its versions, and the files that no other task uses. Files that are mapped
  // stay readable to those who mapped them.
  virtual absl::Status DeleteTask(const std::string& name,
                                  std::optional<uint64_t> expected_version) = 0;
};

}  // namespace ddpt
