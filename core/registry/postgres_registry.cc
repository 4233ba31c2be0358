#include "core/registry/postgres_registry.h"

#include <algorithm>
#include <functional>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/registry/digest_files.h"
#include "core/registry/postgres_blobs.h"
#include "core/registry/registry_rules.h"

namespace ddpt {
namespace {

// Attributes are bytes: what a denoiser file holds need not be UTF-8.
constexpr std::string_view kMigrations[] = {
    R"(CREATE TABLE tasks (
         name TEXT COLLATE "C" PRIMARY KEY,
         created_at BIGINT NOT NULL,
         updated_at BIGINT NOT NULL);
       CREATE TABLE versions (
         task TEXT COLLATE "C" NOT NULL REFERENCES tasks ON DELETE CASCADE,
         version BIGINT NOT NULL,
         digest TEXT NOT NULL,
         size_bytes BIGINT NOT NULL,
         created_at BIGINT NOT NULL,
         PRIMARY KEY (task, version),
         UNIQUE (task, digest));
       CREATE INDEX versions_by_digest ON versions (digest);
       CREATE TABLE attributes (
         task TEXT COLLATE "C" NOT NULL,
         version BIGINT NOT NULL,
         name BYTEA NOT NULL,
         value BYTEA NOT NULL,
         FOREIGN KEY (task, version) REFERENCES versions ON DELETE CASCADE);
       CREATE INDEX attributes_by_version ON attributes (task, version);
       CREATE TABLE activations (
         id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
         task TEXT COLLATE "C" NOT NULL,
         version BIGINT NOT NULL,
         FOREIGN KEY (task, version) REFERENCES versions ON DELETE CASCADE);
       CREATE INDEX activations_by_task ON activations (task, version, id);)",
};

std::string BlobOf(const std::string& digest) { return absl::StrCat("denoiser/", digest); }

absl::StatusOr<TaskRecord> ReadTask(PostgresTransaction& transaction, const std::string& name) {
  DDPT_ASSIGN_OR_RETURN(
      const PostgresRows rows,
      transaction.Query(absl::StrCat(Piece(kSelectTasks), "WHERE name = $1"), name));
  if (rows.empty()) return NoSuchTask(name);
  return TaskOfRow(rows[0]);
}

absl::StatusOr<TaskRecord> ReadExpectedTask(PostgresTransaction& transaction,
                                            const std::string& name,
                                            std::optional<uint64_t> expected_version) {
  DDPT_ASSIGN_OR_RETURN(TaskRecord task, ReadTask(transaction, name));
  DDPT_RETURN_IF_ERROR(CheckExpected(task, expected_version));
  return task;
}

// Newest first.
absl::StatusOr<std::vector<TaskVersion>> ReadVersions(PostgresTransaction& transaction,
                                                      const std::string& name, uint64_t first,
                                                      uint64_t last) {
  DDPT_ASSIGN_OR_RETURN(
      const PostgresRows rows,
      transaction.Query("SELECT v.version, v.digest, v.size_bytes, v.created_at, a.name, a.value"
                        " FROM versions v LEFT JOIN attributes a"
                        " ON a.task = v.task AND a.version = v.version"
                        " WHERE v.task = $1 AND v.version BETWEEN $2 AND $3"
                        " ORDER BY v.version DESC",
                        name, first, last));
  std::vector<TaskVersion> versions;
  for (size_t i = 0; i < rows.size(); ++i) AddVersionRow(name, rows[i], versions);
  return versions;
}

absl::StatusOr<TaskVersion> ReadVersion(PostgresTransaction& transaction, const std::string& name,
                                        uint64_t version) {
  DDPT_ASSIGN_OR_RETURN(auto versions, ReadVersions(transaction, name, version, version));
  if (!versions.empty()) return std::move(versions.front());
  return NoSuchVersion(name, version);
}

absl::Status CheckRoom(PostgresTransaction& transaction, const std::string& task,
                       const RegistryLimits& limits) {
  DDPT_ASSIGN_OR_RETURN(
      const uint64_t versions,
      transaction.QueryInt("SELECT COUNT(*) FROM versions WHERE task = $1", task));
  DDPT_RETURN_IF_ERROR(CheckVersionLimit(task, versions, limits));
  if (versions > 0) return absl::OkStatus();
  DDPT_ASSIGN_OR_RETURN(const uint64_t tasks, transaction.QueryInt("SELECT COUNT(*) FROM tasks"));
  return CheckTaskLimit(tasks, limits);
}

absl::StatusOr<bool> IsUsed(PostgresTransaction& transaction, const std::string& digest) {
  DDPT_ASSIGN_OR_RETURN(
      const int64_t users,
      transaction.QueryInt("SELECT COUNT(*) FROM versions WHERE digest = $1", digest));
  return users > 0;
}

absl::Status RemoveIfUnused(PostgresTransaction& transaction, const std::string& digest) {
  DDPT_ASSIGN_OR_RETURN(const bool used, IsUsed(transaction, digest));
  return used ? absl::OkStatus() : RemoveBlob(transaction, BlobOf(digest));
}

absl::Status Touch(PostgresTransaction& transaction, const std::string& task) {
  return transaction.Run("UPDATE tasks SET updated_at = ddpt_now() WHERE name = $1", task);
}

absl::Status Activate(PostgresTransaction& transaction, const std::string& task, uint64_t version) {
  DDPT_ASSIGN_OR_RETURN(const TaskRecord record, ReadTask(transaction, task));
  if (record.active_version == version) return absl::OkStatus();
  DDPT_RETURN_IF_ERROR(
      transaction.Run("INSERT INTO activations (task, version) VALUES ($1, $2)", task, version));
  DDPT_RETURN_IF_ERROR(
      transaction.Run("DELETE FROM activations WHERE task = $1 AND id NOT IN"
                      " (SELECT id FROM activations WHERE task = $1 ORDER BY id DESC LIMIT $2)",
                      task, kMaxHistory));
  return Touch(transaction, task);
}

absl::StatusOr<uint64_t> InsertVersion(PostgresTransaction& transaction, const std::string& task,
                                       const std::string& digest, uint64_t size_bytes,
                                       const std::map<std::string, std::string>& attributes) {
  DDPT_RETURN_IF_ERROR(
      transaction.Run("INSERT INTO tasks VALUES ($1, ddpt_now(), ddpt_now())"
                      " ON CONFLICT (name) DO UPDATE SET updated_at = EXCLUDED.updated_at",
                      task));
  DDPT_ASSIGN_OR_RETURN(
      const uint64_t latest,
      transaction.QueryInt("SELECT MAX(version) FROM versions WHERE task = $1", task));
  const uint64_t version = latest + 1;
  DDPT_RETURN_IF_ERROR(transaction.Run("INSERT INTO versions VALUES ($1, $2, $3, $4, ddpt_now())",
                                       task, version, digest, size_bytes));
  for (const auto& [name, value] : attributes) {
    DDPT_RETURN_IF_ERROR(transaction.Run("INSERT INTO attributes VALUES ($1, $2, $3, $4)", task,
                                         version, PostgresBytes{name}, PostgresBytes{value}));
  }
  return version;
}

// Forgets the versions that `kept` leaves no room for, and the files that only they had.
absl::Status Prune(PostgresTransaction& transaction, const std::string& task, uint64_t kept) {
  if (kept == 0) return absl::OkStatus();
  DDPT_ASSIGN_OR_RETURN(
      const PostgresRows rows,
      transaction.Query("DELETE FROM versions WHERE task = $1"
                        " AND version NOT IN (SELECT version FROM versions WHERE task = $1"
                        "                     ORDER BY version DESC LIMIT $2)"
                        " AND version NOT IN (SELECT version FROM activations WHERE task = $1"
                        "                     ORDER BY id DESC LIMIT 2)"
                        " RETURNING digest",
                        task, kept));
  for (size_t i = 0; i < rows.size(); ++i) {
    DDPT_RETURN_IF_ERROR(RemoveIfUnused(transaction, rows[i].Text(0)));
  }
  return absl::OkStatus();
}

// Runs `body` in a transaction of its own.
template <typename Result>
absl::StatusOr<Result> Read(
    PostgresDatabase& database,
    const std::function<absl::StatusOr<Result>(PostgresTransaction&)>& body) {
  absl::StatusOr<Result> result;
  DDPT_RETURN_IF_ERROR(database.Transaction([&](PostgresTransaction& transaction) {
    result = body(transaction);
    return result.status();
  }));
  return result;
}

}  // namespace

absl::StatusOr<std::unique_ptr<PostgresRegistry>> PostgresRegistry::Open(
    PostgresDatabase& database, PostgresRegistryOptions options) {
  DDPT_ASSIGN_OR_RETURN(auto files, DenoiserFiles::Open(options.state_directory));
  DDPT_RETURN_IF_ERROR(database.Migrate("registry", kMigrations));
  DDPT_RETURN_IF_ERROR(files->RemoveOthers([&](const std::string& digest) {
    return Read<bool>(
        database, [&](PostgresTransaction& transaction) { return IsUsed(transaction, digest); });
  }));
  return std::unique_ptr<PostgresRegistry>(
      new PostgresRegistry(database, std::move(options), std::move(files)));
}

template <typename Result>
absl::StatusOr<Result> PostgresRegistry::Change(
    const std::string& task,
    const std::function<absl::StatusOr<Result>(PostgresTransaction&)>& body) const {
  DDPT_RETURN_IF_ERROR(CheckTaskName(task));
  return Read<Result>(database_, [&](PostgresTransaction& transaction) -> absl::StatusOr<Result> {
    DDPT_RETURN_IF_ERROR(
        transaction.Run("SELECT number FROM revisions WHERE kind = 'tasks' FOR UPDATE"));
    DDPT_ASSIGN_OR_RETURN(Result result, body(transaction));
    DDPT_RETURN_IF_ERROR(TellOthers(transaction, "tasks", task));
    return result;
  });
}

absl::StatusOr<TaskVersion> PostgresRegistry::ImportVersion(
    const std::string& task, std::string_view denoiser,
    const std::map<std::string, std::string>& attributes, Promotion promotion) {
  DDPT_RETURN_IF_ERROR(CheckTaskName(task));
  DDPT_RETURN_IF_ERROR(CheckAttributes(attributes));
  const std::string digest = Sha256Hex(denoiser);
  return Change<TaskVersion>(
      task, [&](PostgresTransaction& transaction) -> absl::StatusOr<TaskVersion> {
        DDPT_ASSIGN_OR_RETURN(
            uint64_t version,
            transaction.QueryInt("SELECT version FROM versions WHERE task = $1 AND digest = $2",
                                 task, digest));
        const bool is_new = version == 0;
        // Also where the bytes are there already: they may have been damaged.
        DDPT_RETURN_IF_ERROR(PutBlob(transaction, BlobOf(digest), denoiser));
        if (is_new) {
          DDPT_RETURN_IF_ERROR(CheckRoom(transaction, task, options_.limits));
          DDPT_ASSIGN_OR_RETURN(
              version, InsertVersion(transaction, task, digest, denoiser.size(), attributes));
        }
        if (promotion == Promotion::kAlways) {
          DDPT_RETURN_IF_ERROR(Activate(transaction, task, version));
        }
        if (is_new) {
          DDPT_RETURN_IF_ERROR(Prune(transaction, task, options_.limits.versions_kept));
        }
        return ReadVersion(transaction, task, version);
      });
}

absl::StatusOr<TaskPage> PostgresRegistry::ListTasks(uint32_t page_size,
                                                     std::string_view page_token) const {
  DDPT_RETURN_IF_ERROR(CheckPageSize(page_size));
  DDPT_ASSIGN_OR_RETURN(const std::string after, NameOfToken(page_token));
  return Read<TaskPage>(
      database_, [&](PostgresTransaction& transaction) -> absl::StatusOr<TaskPage> {
        DDPT_ASSIGN_OR_RETURN(
            const PostgresRows rows,
            transaction.Query(
                absl::StrCat(Piece(kSelectTasks), "WHERE name > $1 ORDER BY name LIMIT $2"), after,
                uint64_t{page_size} + 1));
        TaskPage page;
        for (size_t i = 0; i < std::min<size_t>(rows.size(), page_size); ++i) {
          page.tasks.push_back(TaskOfRow(rows[i]));
        }
        if (rows.size() > page_size) page.next_page_token = TokenOfName(page.tasks.back().name);
        return page;
      });
}

absl::StatusOr<TaskRecord> PostgresRegistry::GetTask(const std::string& name) const {
  DDPT_RETURN_IF_ERROR(CheckTaskName(name));
  return Read<TaskRecord>(
      database_, [&](PostgresTransaction& transaction) { return ReadTask(transaction, name); });
}

absl::StatusOr<std::vector<TaskVersion>> PostgresRegistry::ListVersions(
    const std::string& name) const {
  DDPT_RETURN_IF_ERROR(CheckTaskName(name));
  using Versions = std::vector<TaskVersion>;
  return Read<Versions>(database_,
                        [&](PostgresTransaction& transaction) -> absl::StatusOr<Versions> {
                          DDPT_ASSIGN_OR_RETURN(const TaskRecord task, ReadTask(transaction, name));
                          return ReadVersions(transaction, name, 1, task.latest_version);
                        });
}

absl::StatusOr<TaskVersion> PostgresRegistry::GetVersion(const std::string& name,
                                                         uint64_t version) const {
  DDPT_RETURN_IF_ERROR(CheckTaskName(name));
  return Read<TaskVersion>(
      database_, [&](PostgresTransaction& transaction) -> absl::StatusOr<TaskVersion> {
        DDPT_ASSIGN_OR_RETURN(const TaskRecord task, ReadTask(transaction, name));
        if (version == 0 && task.active_version == 0) return NoActiveVersion(name);
        return ReadVersion(transaction, name, version == 0 ? task.active_version : version);
      });
}

absl::StatusOr<std::string> PostgresRegistry::FetchDenoiser(const std::string& digest) {
  DDPT_RETURN_IF_ERROR(CheckDigest("digest", digest));
  const auto copy = MappedFile::Open(files_->PathOf(digest));
  if (copy.ok() && Sha256Hex((*copy)->bytes()) == digest) return files_->PathOf(digest);
  DDPT_ASSIGN_OR_RETURN(const std::string bytes, GetBlob(database_, BlobOf(digest)));
  if (bytes.empty()) return NoSuchDenoiser(digest);
  if (Sha256Hex(bytes) != digest) {
    return absl::DataLossError(absl::StrCat("database ", database_.address(), ": the denoiser ",
                                            digest, " is damaged: it does not have this digest"));
  }
  DDPT_RETURN_IF_ERROR(files_->Put(digest, bytes));
  return files_->PathOf(digest);
}

absl::StatusOr<TaskRecord> PostgresRegistry::PromoteTask(const std::string& name, uint64_t version,
                                                         std::optional<uint64_t> expected_version) {
  return Change<TaskRecord>(
      name, [&](PostgresTransaction& transaction) -> absl::StatusOr<TaskRecord> {
        DDPT_RETURN_IF_ERROR(ReadExpectedTask(transaction, name, expected_version).status());
        DDPT_RETURN_IF_ERROR(ReadVersion(transaction, name, version).status());
        DDPT_RETURN_IF_ERROR(Activate(transaction, name, version));
        return ReadTask(transaction, name);
      });
}

absl::StatusOr<TaskRecord> PostgresRegistry::RollbackTask(
    const std::string& name, std::optional<uint64_t> expected_version) {
  return Change<TaskRecord>(
      name, [&](PostgresTransaction& transaction) -> absl::StatusOr<TaskRecord> {
        DDPT_ASSIGN_OR_RETURN(const TaskRecord task,
                              ReadExpectedTask(transaction, name, expected_version));
        DDPT_ASSIGN_OR_RETURN(
            const int64_t activations,
            transaction.QueryInt("SELECT COUNT(*) FROM activations WHERE task = $1", name));
        if (activations < 2) return NoEarlierVersion(task);
        DDPT_RETURN_IF_ERROR(
            transaction.Run("DELETE FROM activations WHERE id ="
                            " (SELECT MAX(id) FROM activations WHERE task = $1)",
                            name));
        DDPT_RETURN_IF_ERROR(Touch(transaction, name));
        return ReadTask(transaction, name);
      });
}

absl::Status PostgresRegistry::DeleteTask(const std::string& name,
                                          std::optional<uint64_t> expected_version) {
  using Versions = std::vector<TaskVersion>;
  DDPT_ASSIGN_OR_RETURN(
      const Versions versions,
      Change<Versions>(name, [&](PostgresTransaction& transaction) -> absl::StatusOr<Versions> {
        DDPT_ASSIGN_OR_RETURN(const TaskRecord task,
                              ReadExpectedTask(transaction, name, expected_version));
        DDPT_ASSIGN_OR_RETURN(Versions all,
                              ReadVersions(transaction, name, 1, task.latest_version));
        DDPT_RETURN_IF_ERROR(transaction.Run("DELETE FROM tasks WHERE name = $1", name));
        for (const TaskVersion& version : all) {
          DDPT_RETURN_IF_ERROR(RemoveIfUnused(transaction, version.digest));
        }
        return all;
      }));
  // A task elsewhere that has such a file, too, fetches it again.
  for (const TaskVersion& version : versions) files_->Remove(version.digest);
  return absl::OkStatus();
}

}  // namespace ddpt
