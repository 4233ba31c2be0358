#include "core/registry/sqlite_registry.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/status.h"
#include "core/registry/digest_files.h"

namespace ddpt {
namespace {

constexpr uint32_t kMaxPageSize = 1000;
constexpr uint64_t kMaxHistory = 1 + 1000;
constexpr size_t kMaxAttributes = 64;
constexpr size_t kMaxAttributeBytes = 64 << 10;
constexpr char kFileSuffix[] = ".safetensors";

constexpr std::string_view kMigrations[] = {
    R"(CREATE TABLE tasks (
         name TEXT PRIMARY KEY,
         created_at INTEGER NOT NULL,
         updated_at INTEGER NOT NULL) WITHOUT ROWID;
       CREATE TABLE versions (
         task TEXT NOT NULL REFERENCES tasks ON DELETE CASCADE,
         version INTEGER NOT NULL,
         digest TEXT NOT NULL,
         size_bytes INTEGER NOT NULL,
         created_at INTEGER NOT NULL,
         PRIMARY KEY (task, version),
         UNIQUE (task, digest)) WITHOUT ROWID;
       CREATE INDEX versions_by_digest ON versions (digest);
       CREATE TABLE attributes (
         task TEXT NOT NULL,
         version INTEGER NOT NULL,
         name TEXT NOT NULL,
         value TEXT NOT NULL,
         PRIMARY KEY (task, version, name),
         FOREIGN KEY (task, version) REFERENCES versions ON DELETE CASCADE) WITHOUT ROWID;
       CREATE TABLE activations (
         id INTEGER PRIMARY KEY,
         task TEXT NOT NULL,
         version INTEGER NOT NULL,
         FOREIGN KEY (task, version) REFERENCES versions ON DELETE CASCADE);
       CREATE INDEX activations_by_task ON activations (task, version, id);)",
};

constexpr std::string_view kSelectTasks =
    "SELECT name,"
    " (SELECT version FROM activations WHERE task = name ORDER BY id DESC LIMIT 1),"
    " (SELECT MAX(version) FROM versions WHERE task = name),"
    " (SELECT COUNT(*) FROM versions WHERE task = name),"
    " created_at, updated_at FROM tasks ";

constexpr std::string_view kCountUsers = "SELECT COUNT(*) FROM versions WHERE digest = ?";

TaskRecord RecordOf(const SqliteStatement& row) {
  return {row.Text(0),
          static_cast<uint64_t>(row.Int(1)),
          static_cast<uint64_t>(row.Int(2)),
          static_cast<uint64_t>(row.Int(3)),
          row.Int(4),
          row.Int(5)};
}

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

absl::StatusOr<std::string> NameOfToken(std::string_view token) {
  std::string name;
  if (token.empty()) return name;
  if (!absl::WebSafeBase64Unescape(Piece(token.substr(0, 128)), &name) ||
      !CheckTaskName(name).ok()) {
    return FieldError("page_token", "is not one that this registry gave");
  }
  return name;
}

}  // namespace

SqliteRegistry::SqliteRegistry(SqliteRegistryOptions options, std::unique_ptr<FileLock> lock,
                               std::unique_ptr<SqliteDatabase> database)
    : options_(std::move(options)),
      denoisers_(options_.state_directory + "/denoisers"),
      lock_(std::move(lock)),
      database_(std::move(database)) {}

absl::StatusOr<std::unique_ptr<SqliteRegistry>> SqliteRegistry::Open(
    SqliteRegistryOptions options) {
  const std::string& state = options.state_directory;
  DDPT_RETURN_IF_ERROR(CreateFolder(state + "/denoisers"));
  DDPT_ASSIGN_OR_RETURN(auto lock, FileLock::Acquire(state + "/lock"));
  DDPT_ASSIGN_OR_RETURN(auto database, SqliteDatabase::Open(state + "/ddpt.sqlite3"));
  DDPT_RETURN_IF_ERROR(database->Migrate("registry", kMigrations));
  std::unique_ptr<SqliteRegistry> registry(
      new SqliteRegistry(std::move(options), std::move(lock), std::move(database)));
  DDPT_RETURN_IF_ERROR(registry->RemoveOrphans());
  return registry;
}

absl::StatusOr<TaskVersion> SqliteRegistry::ImportVersion(
    const std::string& task, std::string_view denoiser,
    const std::map<std::string, std::string>& attributes, Promotion promotion) {
  DDPT_RETURN_IF_ERROR(CheckTaskName(task));
  DDPT_RETURN_IF_ERROR(CheckAttributes(attributes));
  const std::string digest = Sha256Hex(denoiser);
  const std::lock_guard files_lock(files_mutex_);
  uint64_t version = 0;
  {
    const std::lock_guard lock(mutex_);
    DDPT_ASSIGN_OR_RETURN(
        version, database_->QueryInt("SELECT version FROM versions WHERE task = ? AND digest = ?",
                                     task, digest));
    if (version == 0) DDPT_RETURN_IF_ERROR(CheckRoom(task));
  }
  absl::Status status;
  if (version == 0 || !std::filesystem::exists(PathOf(digest))) {
    status = WriteFileAtomic(PathOf(digest), denoiser);
  }
  const std::lock_guard lock(mutex_);
  std::vector<std::string> forgotten;
  if (status.ok()) {
    status = database_->Transaction([&]() -> absl::Status {
      const bool is_new = version == 0;
      if (is_new) {
        DDPT_ASSIGN_OR_RETURN(version, InsertVersion(task, digest, denoiser.size(), attributes));
      }
      if (promotion == Promotion::kAlways) DDPT_RETURN_IF_ERROR(Activate(task, version));
      if (is_new) {
        DDPT_ASSIGN_OR_RETURN(forgotten, Prune(task));
      }
      return absl::OkStatus();
    });
  }
  if (!status.ok()) forgotten = {digest};
  for (const std::string& unused : forgotten) RemoveIfUnused(unused);
  DDPT_RETURN_IF_ERROR(status);
  return ReadVersion(task, version);
}

absl::StatusOr<TaskPage> SqliteRegistry::ListTasks(uint32_t page_size,
                                                   std::string_view page_token) const {
  if (page_size < 1 || page_size > kMaxPageSize) {
    return FieldError("page_size", absl::StrCat(page_size, " is outside 1..", kMaxPageSize));
  }
  DDPT_ASSIGN_OR_RETURN(const std::string after, NameOfToken(page_token));
  const std::lock_guard lock(mutex_);
  DDPT_ASSIGN_OR_RETURN(
      SqliteStatement rows,
      database_->Prepare(absl::StrCat(Piece(kSelectTasks), "WHERE name > ? ORDER BY name LIMIT ?"),
                         after, uint64_t{page_size} + 1));
  TaskPage page;
  while (true) {
    DDPT_ASSIGN_OR_RETURN(const bool found, rows.Step());
    if (!found) return page;
    if (page.tasks.size() == page_size) {
      page.next_page_token = absl::WebSafeBase64Escape(page.tasks.back().name);
      return page;
    }
    page.tasks.push_back(RecordOf(rows));
  }
}

absl::StatusOr<TaskRecord> SqliteRegistry::GetTask(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  return ReadTask(name);
}

absl::StatusOr<std::vector<TaskVersion>> SqliteRegistry::ListVersions(
    const std::string& name) const {
  const std::lock_guard lock(mutex_);
  DDPT_ASSIGN_OR_RETURN(const TaskRecord task, ReadTask(name));
  return ReadVersions(name, 1, task.latest_version);
}

absl::StatusOr<TaskVersion> SqliteRegistry::GetVersion(const std::string& name,
                                                       uint64_t version) const {
  const std::lock_guard lock(mutex_);
  DDPT_ASSIGN_OR_RETURN(const TaskRecord task, ReadTask(name));
  if (version == 0 && task.active_version == 0) {
    return absl::FailedPreconditionError(absl::StrCat("task \"", name, "\" has no active version"));
  }
  return ReadVersion(name, version == 0 ? task.active_version : version);
}

absl::StatusOr<TaskRecord> SqliteRegistry::PromoteTask(const std::string& name, uint64_t version,
                                                       std::optional<uint64_t> expected_version) {
  const std::lock_guard lock(mutex_);
  DDPT_RETURN_IF_ERROR(ReadExpectedTask(name, expected_version).status());
  DDPT_RETURN_IF_ERROR(ReadVersion(name, version).status());
  DDPT_RETURN_IF_ERROR(database_->Transaction([&] { return Activate(name, version); }));
  return ReadTask(name);
}

absl::StatusOr<TaskRecord> SqliteRegistry::RollbackTask(const std::string& name,
                                                        std::optional<uint64_t> expected_version) {
  const std::lock_guard lock(mutex_);
  DDPT_ASSIGN_OR_RETURN(const TaskRecord task, ReadExpectedTask(name, expected_version));
  DDPT_ASSIGN_OR_RETURN(
      const int64_t activations,
      database_->QueryInt("SELECT COUNT(*) FROM activations WHERE task = ?", name));
  if (activations < 2) {
    return absl::FailedPreconditionError(absl::StrCat(
        "task \"", name, "\" had no active version before version ", task.active_version));
  }
  DDPT_RETURN_IF_ERROR(database_->Transaction([&]() -> absl::Status {
    DDPT_RETURN_IF_ERROR(database_->Run(
        "DELETE FROM activations WHERE id = (SELECT MAX(id) FROM activations WHERE task = ?)",
        name));
    return Touch(name);
  }));
  return ReadTask(name);
}

absl::Status SqliteRegistry::DeleteTask(const std::string& name,
                                        std::optional<uint64_t> expected_version) {
  const std::lock_guard files_lock(files_mutex_);
  const std::lock_guard lock(mutex_);
  DDPT_ASSIGN_OR_RETURN(const TaskRecord task, ReadExpectedTask(name, expected_version));
  DDPT_ASSIGN_OR_RETURN(const auto versions, ReadVersions(name, 1, task.latest_version));
  DDPT_RETURN_IF_ERROR(database_->Transaction(
      [&] { return database_->Run("DELETE FROM tasks WHERE name = ?", name); }));
  for (const TaskVersion& version : versions) RemoveIfUnused(version.digest);
  return absl::OkStatus();
}

absl::StatusOr<TaskRecord> SqliteRegistry::ReadTask(const std::string& name) const {
  DDPT_RETURN_IF_ERROR(CheckTaskName(name));
  DDPT_ASSIGN_OR_RETURN(
      SqliteStatement row,
      database_->Prepare(absl::StrCat(Piece(kSelectTasks), "WHERE name = ?"), name));
  DDPT_ASSIGN_OR_RETURN(const bool found, row.Step());
  if (!found) return absl::NotFoundError(absl::StrCat("task \"", name, "\" does not exist"));
  return RecordOf(row);
}

absl::StatusOr<TaskRecord> SqliteRegistry::ReadExpectedTask(
    const std::string& name, std::optional<uint64_t> expected_version) const {
  DDPT_ASSIGN_OR_RETURN(TaskRecord task, ReadTask(name));
  if (expected_version.has_value() && *expected_version != task.active_version) {
    return absl::AbortedError(absl::StrCat("task \"", name, "\": the active version is ",
                                           task.active_version, ", not the expected ",
                                           *expected_version));
  }
  return task;
}

absl::StatusOr<std::vector<TaskVersion>> SqliteRegistry::ReadVersions(const std::string& name,
                                                                      uint64_t first,
                                                                      uint64_t last) const {
  DDPT_ASSIGN_OR_RETURN(
      SqliteStatement rows,
      database_->Prepare("SELECT v.version, v.digest, v.size_bytes, v.created_at, a.name, a.value"
                         " FROM versions v LEFT JOIN attributes a"
                         " ON a.task = v.task AND a.version = v.version"
                         " WHERE v.task = ? AND v.version BETWEEN ? AND ?"
                         " ORDER BY v.version DESC",
                         name, first, last));
  std::vector<TaskVersion> versions;
  while (true) {
    DDPT_ASSIGN_OR_RETURN(const bool found, rows.Step());
    if (!found) return versions;
    const auto version = static_cast<uint64_t>(rows.Int(0));
    if (versions.empty() || versions.back().version != version) {
      versions.push_back({name,
                          version,
                          rows.Text(1),
                          PathOf(rows.Text(1)),
                          rows.Int(3),
                          static_cast<uint64_t>(rows.Int(2)),
                          {}});
    }
    if (!rows.IsNull(4)) versions.back().attributes.emplace(rows.Text(4), rows.Text(5));
  }
}

absl::StatusOr<TaskVersion> SqliteRegistry::ReadVersion(const std::string& name,
                                                        uint64_t version) const {
  DDPT_ASSIGN_OR_RETURN(auto versions, ReadVersions(name, version, version));
  if (!versions.empty()) return std::move(versions.front());
  return absl::NotFoundError(absl::StrCat("task \"", name, "\" has no version ", version));
}

absl::Status SqliteRegistry::CheckRoom(const std::string& task) const {
  DDPT_ASSIGN_OR_RETURN(const uint64_t versions,
                        database_->QueryInt("SELECT COUNT(*) FROM versions WHERE task = ?", task));
  if (versions >= options_.max_versions_per_task) {
    return absl::ResourceExhaustedError(absl::StrCat("task \"", task, "\" has the limit of ",
                                                     options_.max_versions_per_task, " versions"));
  }
  if (versions > 0) return absl::OkStatus();
  DDPT_ASSIGN_OR_RETURN(const uint64_t tasks, database_->QueryInt("SELECT COUNT(*) FROM tasks"));
  if (tasks < options_.max_tasks) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("the registry has the limit of ", options_.max_tasks, " tasks"));
}

absl::StatusOr<uint64_t> SqliteRegistry::InsertVersion(
    const std::string& task, const std::string& digest, uint64_t size_bytes,
    const std::map<std::string, std::string>& attributes) {
  const int64_t now = options_.clock->WallMicros();
  DDPT_RETURN_IF_ERROR(
      database_->Run("INSERT INTO tasks VALUES (?1, ?2, ?2)"
                     " ON CONFLICT (name) DO UPDATE SET updated_at = ?2",
                     task, now));
  DDPT_ASSIGN_OR_RETURN(
      const uint64_t latest,
      database_->QueryInt("SELECT MAX(version) FROM versions WHERE task = ?", task));
  const uint64_t version = latest + 1;
  DDPT_RETURN_IF_ERROR(database_->Run("INSERT INTO versions VALUES (?, ?, ?, ?, ?)", task, version,
                                      digest, size_bytes, now));
  for (const auto& [name, value] : attributes) {
    DDPT_RETURN_IF_ERROR(
        database_->Run("INSERT INTO attributes VALUES (?, ?, ?, ?)", task, version, name, value));
  }
  return version;
}

absl::StatusOr<std::vector<std::string>> SqliteRegistry::Prune(const std::string& task) {
  std::vector<std::string> digests;
  if (options_.versions_kept == 0) return digests;
  constexpr std::string_view kOld =
      " FROM versions WHERE task = ?1"
      " AND version NOT IN (SELECT version FROM versions WHERE task = ?1"
      "                     ORDER BY version DESC LIMIT ?2)"
      " AND version NOT IN (SELECT version FROM activations WHERE task = ?1"
      "                     ORDER BY id DESC LIMIT 2)";
  DDPT_ASSIGN_OR_RETURN(
      SqliteStatement rows,
      database_->Prepare(absl::StrCat("SELECT digest", Piece(kOld)), task, options_.versions_kept));
  while (true) {
    DDPT_ASSIGN_OR_RETURN(const bool found, rows.Step());
    if (!found) break;
    digests.push_back(rows.Text(0));
  }
  DDPT_RETURN_IF_ERROR(
      database_->Run(absl::StrCat("DELETE", Piece(kOld)), task, options_.versions_kept));
  return digests;
}

absl::Status SqliteRegistry::Activate(const std::string& task, uint64_t version) {
  DDPT_ASSIGN_OR_RETURN(const TaskRecord record, ReadTask(task));
  if (record.active_version == version) return absl::OkStatus();
  DDPT_RETURN_IF_ERROR(
      database_->Run("INSERT INTO activations (task, version) VALUES (?, ?)", task, version));
  DDPT_RETURN_IF_ERROR(
      database_->Run("DELETE FROM activations WHERE task = ?1 AND id NOT IN"
                     " (SELECT id FROM activations WHERE task = ?1 ORDER BY id DESC LIMIT ?2)",
                     task, kMaxHistory));
  return Touch(task);
}

absl::Status SqliteRegistry::Touch(const std::string& task) {
  return database_->Run("UPDATE tasks SET updated_at = ? WHERE name = ?",
                        options_.clock->WallMicros(), task);
}

void SqliteRegistry::RemoveIfUnused(const std::string& digest) {
  const auto users = database_->QueryInt(kCountUsers, digest);
  std::error_code ignored;  // what stays is removed at the next Open
  if (users.ok() && *users == 0) std::filesystem::remove(PathOf(digest), ignored);
}

absl::Status SqliteRegistry::RemoveOrphans() {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(denoisers_, error)) {
    const std::string digest = DigestOfFile(entry.path().filename().string(), kFileSuffix);
    if (digest.empty()) continue;
    DDPT_ASSIGN_OR_RETURN(const int64_t users, database_->QueryInt(kCountUsers, digest));
    std::error_code ignored;
    if (users == 0 || entry.path() != PathOf(digest))
      std::filesystem::remove(entry.path(), ignored);
  }
  if (!error) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("cannot list ", denoisers_, ": ", error.message()));
}

std::string SqliteRegistry::PathOf(const std::string& digest) const {
  return absl::StrCat(denoisers_, "/", digest, kFileSuffix);
}

}  // namespace ddpt
