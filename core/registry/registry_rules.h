#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/registry/registry.h"

namespace ddpt {

// What registries have in common, whatever they store their records in.

// Activations of a task that are kept: the present one and those a rollback leads to.
inline constexpr uint64_t kMaxHistory = 1 + 1000;

// FieldErrors of "attributes" and "page_size".
absl::Status CheckAttributes(const std::map<std::string, std::string>& attributes);
absl::Status CheckPageSize(uint32_t page_size);

// A page token and the name of the task that its page ended with; "" for "". FieldError of
// "page_token".
std::string TokenOfName(const std::string& name);
absl::StatusOr<std::string> NameOfToken(std::string_view token);

// Errors of the Registry's calls. The limits' are OK below the limit.
absl::Status NoSuchTask(const std::string& name);
absl::Status NoSuchVersion(const std::string& name, uint64_t version);
absl::Status NoSuchDenoiser(const std::string& digest);
absl::Status NoActiveVersion(const std::string& name);
absl::Status NoEarlierVersion(const TaskRecord& task);
absl::Status CheckExpected(const TaskRecord& task, std::optional<uint64_t> expected_version);
absl::Status CheckVersionLimit(const std::string& name, uint64_t versions,
                               const RegistryLimits& limits);
absl::Status CheckTaskLimit(uint64_t tasks, const RegistryLimits& limits);

// A task's row: name, active version, latest version, count of versions, created_at, updated_at.
template <typename Row>
TaskRecord TaskOfRow(const Row& row) {
  return {row.Text(0),
          static_cast<uint64_t>(row.Int(1)),
          static_cast<uint64_t>(row.Int(2)),
          static_cast<uint64_t>(row.Int(3)),
          row.Int(4),
          row.Int(5)};
}

// The statement that gives such rows, but for its WHERE.
inline constexpr std::string_view kSelectTasks =
    "SELECT name,"
    " (SELECT version FROM activations WHERE task = name ORDER BY id DESC LIMIT 1),"
    " (SELECT MAX(version) FROM versions WHERE task = name),"
    " (SELECT COUNT(*) FROM versions WHERE task = name),"
    " created_at, updated_at FROM tasks ";

// Reads one row of: version, digest, size_bytes, created_at, name and value of an attribute (NULL:
// none), ordered by version. Rows of one version follow each other.
template <typename Row>
void AddVersionRow(const std::string& task, const Row& row, std::vector<TaskVersion>& versions) {
  const auto version = static_cast<uint64_t>(row.Int(0));
  if (versions.empty() || versions.back().version != version) {
    versions.push_back(
        {task, version, row.Text(1), row.Int(3), static_cast<uint64_t>(row.Int(2)), {}});
  }
  if (!row.IsNull(4)) versions.back().attributes.emplace(row.Text(4), row.Text(5));
}

}  // namespace ddpt
