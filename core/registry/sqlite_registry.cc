#include "core/registry/sqlite_registry.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/status.h"
#include "core/registry/digest_files.h"
#include "core/registry/registry_rules.h"

namespace ddpt {
namespace {

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

}  // namespace

absl::StatusOr<std::unique_ptr<SqliteRegistry>> SqliteRegistry::Open(
    SqliteRegistryOptions options) {
  DDPT_ASSIGN_OR_RETURN(auto files, DenoiserFiles::Open(options.state_directory));
  DDPT_ASSIGN_OR_RETURN(auto database,
                        SqliteDatabase::Open(options.state_directory + "/ddpt.sqlite3"));
  DDPT_RETURN_IF_ERROR(database->Migrate("registry", kMigrations));
  std::unique_ptr<SqliteRegistry> registry(
      new SqliteRegistry(std::move(options), std::move(files), std::move(database)));
  DDPT_RETURN_IF_ERROR(registry->files_->RemoveOthers(
      [raw = registry.get()](const std::string& digest) { return raw->IsUsed(digest); }));
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
  // Also where the file is there already: it may have been damaged.
  absl::Status status = files_->Put(digest, denoiser);
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
  DDPT_RETURN_IF_ERROR(CheckPageSize(page_size));
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
      page.next_page_token = TokenOfName(page.tasks.back().name);
      return page;
    }
    page.tasks.push_back(TaskOfRow(rows));
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
  if (version == 0 && task.active_version == 0) return NoActiveVersion(name);
  return ReadVersion(name, version == 0 ? task.active_version : version);
}

absl::StatusOr<std::string> SqliteRegistry::FetchDenoiser(const std::string& digest) {
  DDPT_RETURN_IF_ERROR(CheckDigest("digest", digest));
  if (files_->Has(digest)) return files_->PathOf(digest);
  return NoSuchDenoiser(digest);
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
  if (activations < 2) return NoEarlierVersion(task);
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
  if (!found) return NoSuchTask(name);
  return TaskOfRow(row);
}

absl::StatusOr<TaskRecord> SqliteRegistry::ReadExpectedTask(
    const std::string& name, std::optional<uint64_t> expected_version) const {
  DDPT_ASSIGN_OR_RETURN(TaskRecord task, ReadTask(name));
  DDPT_RETURN_IF_ERROR(CheckExpected(task, expected_version));
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
    AddVersionRow(name, rows, versions);
  }
}

absl::StatusOr<TaskVersion> SqliteRegistry::ReadVersion(const std::string& name,
                                                        uint64_t version) const {
  DDPT_ASSIGN_OR_RETURN(auto versions, ReadVersions(name, version, version));
  if (!versions.empty()) return std::move(versions.front());
  return NoSuchVersion(name, version);
}

absl::Status SqliteRegistry::CheckRoom(const std::string& task) const {
  DDPT_ASSIGN_OR_RETURN(const uint64_t versions,
                        database_->QueryInt("SELECT COUNT(*) FROM versions WHERE task = ?", task));
  DDPT_RETURN_IF_ERROR(CheckVersionLimit(task, versions, options_.limits));
  if (versions > 0) return absl::OkStatus();
  DDPT_ASSIGN_OR_RETURN(const uint64_t tasks, database_->QueryInt("SELECT COUNT(*) FROM tasks"));
  return CheckTaskLimit(tasks, options_.limits);
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
  if (options_.limits.versions_kept == 0) return digests;
  constexpr std::string_view kOld =
      " FROM versions WHERE task = ?1"
      " AND version NOT IN (SELECT version FROM versions WHERE task = ?1"
      "                     ORDER BY version DESC LIMIT ?2)"
      " AND version NOT IN (SELECT version FROM activations WHERE task = ?1"
      "                     ORDER BY id DESC LIMIT 2)";
  DDPT_ASSIGN_OR_RETURN(SqliteStatement rows,
                        database_->Prepare(absl::StrCat("SELECT digest", Piece(kOld)), task,
                                           options_.limits.versions_kept));
  while (true) {
    DDPT_ASSIGN_OR_RETURN(const bool found, rows.Step());
    if (!found) break;
    digests.push_back(rows.Text(0));
  }
  DDPT_RETURN_IF_ERROR(
      database_->Run(absl::StrCat("DELETE", Piece(kOld)), task, options_.limits.versions_kept));
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

absl::StatusOr<bool> SqliteRegistry::IsUsed(const std::string& digest) const {
  DDPT_ASSIGN_OR_RETURN(
      const int64_t users,
      database_->QueryInt("SELECT COUNT(*) FROM versions WHERE digest = ?", digest));
  return users > 0;
}

void SqliteRegistry::RemoveIfUnused(const std::string& digest) {
  const auto used = IsUsed(digest);
  if (used.ok() && !*used) files_->Remove(digest);
}

}  // namespace ddpt
