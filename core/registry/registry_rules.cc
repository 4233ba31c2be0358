#include "core/registry/registry_rules.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

constexpr uint32_t kMaxPageSize = 1000;
constexpr size_t kMaxAttributes = 64;
constexpr size_t kMaxAttributeBytes = 64 << 10;
constexpr size_t kMaxTokenBytes = 128;

}  // namespace

absl::Status CheckAttributes(const std::map<std::string, std::string>& attributes) {
  if (attributes.size() > kMaxAttributes) {
    return FieldError("attributes",
                      absl::StrCat(attributes.size(), " are more than ", kMaxAttributes));
  }
  size_t bytes = 0;
  for (const auto& [name, value] : attributes) bytes += name.size() + value.size();
  if (bytes <= kMaxAttributeBytes) return absl::OkStatus();
  return FieldError("attributes", absl::StrCat(bytes, " bytes are more than ", kMaxAttributeBytes));
}

absl::Status CheckPageSize(uint32_t page_size) {
  if (page_size >= 1 && page_size <= kMaxPageSize) return absl::OkStatus();
  return FieldError("page_size", absl::StrCat(page_size, " is outside 1..", kMaxPageSize));
}

std::string TokenOfName(const std::string& name) { return absl::WebSafeBase64Escape(name); }

absl::StatusOr<std::string> NameOfToken(std::string_view token) {
  std::string name;
  if (token.empty()) return name;
  if (!absl::WebSafeBase64Unescape(Piece(token.substr(0, kMaxTokenBytes)), &name) ||
      !CheckTaskName(name).ok()) {
    return FieldError("page_token", "is not one that this registry gave");
  }
  return name;
}

absl::Status NoSuchTask(const std::string& name) {
  return absl::NotFoundError(absl::StrCat("task \"", name, "\" does not exist"));
}

absl::Status NoSuchVersion(const std::string& name, uint64_t version) {
  return absl::NotFoundError(absl::StrCat("task \"", name, "\" has no version ", version));
}

absl::Status NoSuchDenoiser(const std::string& digest) {
  return absl::NotFoundError(absl::StrCat("no version has the denoiser ", digest));
}

absl::Status NoActiveVersion(const std::string& name) {
  return absl::FailedPreconditionError(absl::StrCat("task \"", name, "\" has no active version"));
}

absl::Status NoEarlierVersion(const TaskRecord& task) {
  return absl::FailedPreconditionError(absl::StrCat(
      "task \"", task.name, "\" had no active version before version ", task.active_version));
}

absl::Status CheckExpected(const TaskRecord& task, std::optional<uint64_t> expected_version) {
  if (!expected_version || *expected_version == task.active_version) return absl::OkStatus();
  return absl::AbortedError(absl::StrCat("task \"", task.name, "\": the active version is ",
                                         task.active_version, ", not the expected ",
                                         *expected_version));
}

absl::Status CheckVersionLimit(const std::string& name, uint64_t versions,
                               const RegistryLimits& limits) {
  if (versions < limits.max_versions_per_task) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat("task \"", name, "\" has the limit of ",
                                                   limits.max_versions_per_task, " versions"));
}

absl::Status CheckTaskLimit(uint64_t tasks, const RegistryLimits& limits) {
  if (tasks < limits.max_tasks) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("the registry has the limit of ", limits.max_tasks, " tasks"));
}

}  // namespace ddpt
