#include "core/registry/sqlite_job_store.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/registry/digest_files.h"
#include "core/registry/job_rules.h"
#include "core/registry/registry_rules.h"

namespace ddpt {
namespace {

constexpr std::string_view kMigrations[] = {
    R"(CREATE TABLE jobs (
         id INTEGER PRIMARY KEY AUTOINCREMENT,
         operation_id TEXT NOT NULL UNIQUE,
         task TEXT NOT NULL,
         created_at INTEGER NOT NULL,
         updated_at INTEGER NOT NULL,
         state INTEGER NOT NULL DEFAULT 0,
         cancel_requested INTEGER NOT NULL DEFAULT 0,
         step INTEGER NOT NULL DEFAULT 0,
         resumes INTEGER NOT NULL DEFAULT 0,
         version INTEGER NOT NULL DEFAULT 0,
         denoiser_digest TEXT NOT NULL DEFAULT '',
         train_loss REAL DEFAULT 0,
         validation_nll REAL DEFAULT 0,
         validation_nll_none REAL DEFAULT 0,
         error TEXT NOT NULL DEFAULT '',
         request TEXT NOT NULL);
       CREATE INDEX jobs_unfinished ON jobs (id) WHERE state < 2;
       CREATE TABLE job_events (
         job INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
         number INTEGER NOT NULL,
         time INTEGER NOT NULL,
         state INTEGER NOT NULL,
         cancel_requested INTEGER NOT NULL,
         step INTEGER NOT NULL,
         resumes INTEGER NOT NULL,
         version INTEGER NOT NULL,
         denoiser_digest TEXT NOT NULL,
         train_loss REAL,
         validation_nll REAL,
         validation_nll_none REAL,
         error TEXT NOT NULL,
         payload TEXT NOT NULL,
         PRIMARY KEY (job, number)) WITHOUT ROWID;)",
};

constexpr std::string_view kUpdateJob =
    "UPDATE jobs SET updated_at = ?, state = ?, step = ?, resumes = ?, version = ?,"
    " denoiser_digest = ?, train_loss = ?, validation_nll = ?, validation_nll_none = ?, error = ?"
    " WHERE id = ?";

std::string SelectJobs(std::string_view where) {
  return absl::StrCat(Piece(kJobColumns), " FROM jobs ", Piece(where));
}

absl::StatusOr<std::vector<Job>> ReadAll(SqliteStatement rows) {
  std::vector<Job> jobs;
  while (true) {
    DDPT_ASSIGN_OR_RETURN(const bool found, rows.Step());
    if (!found) return jobs;
    jobs.push_back(JobOfRow(rows));
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<SqliteJobStore>> SqliteJobStore::Open(
    SqliteJobStoreOptions options) {
  DDPT_ASSIGN_OR_RETURN(auto database,
                        SqliteDatabase::Open(options.state_directory + "/ddpt.sqlite3"));
  DDPT_RETURN_IF_ERROR(database->Migrate("jobs", kMigrations));
  DDPT_RETURN_IF_ERROR(CreateFolder(options.state_directory + "/jobs"));
  std::unique_ptr<SqliteJobStore> store(
      new SqliteJobStore(std::move(options), std::move(database)));
  DDPT_RETURN_IF_ERROR(store->RemoveOldCheckpoints());
  return store;
}

absl::StatusOr<Job> SqliteJobStore::CreateJob(const Job& job) {
  DDPT_RETURN_IF_ERROR(CheckNewJob(job));
  const std::lock_guard lock(mutex_);
  std::string id;
  DDPT_RETURN_IF_ERROR(database_->Transaction([&]() -> absl::Status {
    DDPT_RETURN_IF_ERROR(CheckRoom(job.operation_id));
    DDPT_RETURN_IF_ERROR(
        database_->Run("INSERT INTO jobs (operation_id, task, request, created_at, updated_at)"
                       " VALUES (?1, ?2, ?3, ?4, ?4)",
                       job.operation_id, job.task, job.request, options_.clock->WallMicros()));
    DDPT_ASSIGN_OR_RETURN(const int64_t number, database_->QueryInt("SELECT last_insert_rowid()"));
    id = IdOfJob(number);
    return AppendEvent(id, "").status();
  }));
  return ReadJob(id);
}

absl::StatusOr<Job> SqliteJobStore::GetJob(const std::string& id) const {
  const std::lock_guard lock(mutex_);
  return ReadJob(id);
}

absl::StatusOr<Job> SqliteJobStore::FindJob(const std::string& operation_id) const {
  const std::lock_guard lock(mutex_);
  DDPT_ASSIGN_OR_RETURN(SqliteStatement row,
                        database_->Prepare(SelectJobs("WHERE operation_id = ?"), operation_id));
  DDPT_ASSIGN_OR_RETURN(const bool found, row.Step());
  if (found) return JobOfRow(row);
  return NoSuchOperation(operation_id);
}

absl::StatusOr<JobPage> SqliteJobStore::ListJobs(const std::string& task, uint32_t page_size,
                                                 std::string_view page_token) const {
  DDPT_RETURN_IF_ERROR(CheckPageSize(page_size));
  if (!task.empty()) DDPT_RETURN_IF_ERROR(CheckTaskName(task));
  DDPT_ASSIGN_OR_RETURN(const int64_t before, NumberOfToken(page_token));
  const std::lock_guard lock(mutex_);
  DDPT_ASSIGN_OR_RETURN(SqliteStatement rows,
                        database_->Prepare(SelectJobs("WHERE (?1 = '' OR task = ?1) AND id < ?2"
                                                      " ORDER BY id DESC LIMIT ?3"),
                                           task, before, uint64_t{page_size} + 1));
  DDPT_ASSIGN_OR_RETURN(auto jobs, ReadAll(std::move(rows)));
  return PageOf(std::move(jobs), page_size);
}

absl::StatusOr<std::vector<Job>> SqliteJobStore::UnfinishedJobs() const {
  const std::lock_guard lock(mutex_);
  DDPT_ASSIGN_OR_RETURN(SqliteStatement rows,
                        database_->Prepare(SelectJobs("WHERE state < 2 ORDER BY id")));
  return ReadAll(std::move(rows));
}

absl::StatusOr<std::optional<Job>> SqliteJobStore::TakeJob() {
  const std::lock_guard lock(mutex_);
  DDPT_ASSIGN_OR_RETURN(SqliteStatement rows,
                        database_->Prepare(SelectJobs("WHERE state < 2 ORDER BY id")));
  DDPT_ASSIGN_OR_RETURN(const std::vector<Job> jobs, ReadAll(std::move(rows)));
  const auto free =
      std::ranges::find_if(jobs, [this](const Job& job) { return !taken_.contains(job.id); });
  if (free == jobs.end()) return std::nullopt;
  DDPT_RETURN_IF_ERROR(database_->Transaction([&]() -> absl::Status {
    DDPT_RETURN_IF_ERROR(
        database_->Run("UPDATE jobs SET resumes = resumes + state, state = 1, updated_at = ?"
                       " WHERE id = ?",
                       options_.clock->WallMicros(), NumberOfJob(free->id)));
    return AppendEvent(free->id, "").status();
  }));
  taken_.insert(free->id);
  return ReadJob(free->id);
}

absl::Status SqliteJobStore::LeaveJob(const Job& job) {
  const std::lock_guard lock(mutex_);
  taken_.erase(job.id);
  return absl::OkStatus();
}

absl::Status SqliteJobStore::SaveCheckpoint(const Job& job, std::string_view state) {
  DDPT_RETURN_IF_ERROR(CheckCheckpoint(state));
  {
    const std::lock_guard lock(mutex_);
    DDPT_ASSIGN_OR_RETURN(const Job before, ReadJob(job.id));
    DDPT_RETURN_IF_ERROR(CheckUnfinished(before));
    DDPT_RETURN_IF_ERROR(StoreFigures(job));
  }
  return WriteFileAtomic(CheckpointPath(job.id), state);
}

absl::StatusOr<std::string> SqliteJobStore::ReadCheckpoint(const std::string& id) const {
  DDPT_RETURN_IF_ERROR(GetJob(id).status());
  absl::StatusOr<std::string> state = ReadFile(CheckpointPath(id), kMaxCheckpointBytes);
  if (absl::IsNotFound(state.status())) return "";
  return state;
}

absl::StatusOr<uint64_t> SqliteJobStore::UpdateJob(const Job& job, std::string_view payload) {
  const std::lock_guard lock(mutex_);
  uint64_t number = 0;
  DDPT_RETURN_IF_ERROR(database_->Transaction([&]() -> absl::Status {
    DDPT_ASSIGN_OR_RETURN(const Job before, ReadJob(job.id));
    DDPT_RETURN_IF_ERROR(CheckUnfinished(before));
    DDPT_RETURN_IF_ERROR(StoreFigures(job));
    DDPT_ASSIGN_OR_RETURN(number, AppendEvent(job.id, payload));
    return absl::OkStatus();
  }));
  if (IsFinished(job.state)) {
    taken_.erase(job.id);
    std::error_code ignored;  // what stays is removed at the next Open
    std::filesystem::remove(CheckpointPath(job.id), ignored);
  }
  return number;
}

absl::StatusOr<Job> SqliteJobStore::RequestCancel(const std::string& id) {
  const std::lock_guard lock(mutex_);
  DDPT_RETURN_IF_ERROR(database_->Transaction([&]() -> absl::Status {
    DDPT_ASSIGN_OR_RETURN(const Job job, ReadJob(id));
    if (IsFinished(job.state)) return absl::OkStatus();
    const JobState state = job.state == JobState::kQueued ? JobState::kCancelled : job.state;
    DDPT_RETURN_IF_ERROR(database_->Run(
        "UPDATE jobs SET cancel_requested = 1, state = ?, updated_at = ? WHERE id = ?",
        static_cast<int64_t>(state), options_.clock->WallMicros(), NumberOfJob(id)));
    return state == job.state ? absl::OkStatus() : AppendEvent(id, "").status();
  }));
  return ReadJob(id);
}

absl::StatusOr<std::vector<JobEvent>> SqliteJobStore::ListEvents(const std::string& id,
                                                                 uint64_t after,
                                                                 uint32_t limit) const {
  const std::lock_guard lock(mutex_);
  DDPT_RETURN_IF_ERROR(ReadJob(id).status());
  std::vector<JobEvent> events;
  if (after > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return events;
  DDPT_ASSIGN_OR_RETURN(
      SqliteStatement rows,
      database_->Prepare(absl::StrCat(Piece(kEventColumns),
                                      "WHERE e.job = ? AND e.number > ? ORDER BY e.number LIMIT ?"),
                         NumberOfJob(id), after, uint64_t{limit}));
  while (true) {
    DDPT_ASSIGN_OR_RETURN(const bool found, rows.Step());
    if (!found) return events;
    events.push_back(EventOfRow(rows));
  }
}

absl::StatusOr<uint64_t> SqliteJobStore::RemoveFinishedBefore(int64_t micros) {
  const std::lock_guard lock(mutex_);
  uint64_t removed = 0;
  DDPT_RETURN_IF_ERROR(database_->Transaction([&]() -> absl::Status {
    DDPT_RETURN_IF_ERROR(
        database_->Run("DELETE FROM jobs WHERE state >= 2 AND updated_at < ?", micros));
    DDPT_ASSIGN_OR_RETURN(removed, database_->QueryInt("SELECT changes()"));
    return absl::OkStatus();
  }));
  return removed;
}

std::string SqliteJobStore::CheckpointPath(const std::string& id) const {
  return absl::StrCat(options_.state_directory, "/jobs/", id, ".checkpoint");
}

absl::Status SqliteJobStore::RemoveOldCheckpoints() {
  DDPT_ASSIGN_OR_RETURN(const std::vector<Job> jobs, UnfinishedJobs());
  std::set<std::string> kept;
  for (const Job& job : jobs) kept.insert(CheckpointPath(job.id));
  std::error_code error;
  for (const auto& entry :
       std::filesystem::directory_iterator(options_.state_directory + "/jobs", error)) {
    std::error_code ignored;
    if (!kept.contains(entry.path().string())) std::filesystem::remove(entry.path(), ignored);
  }
  if (!error) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("cannot list ", options_.state_directory, "/jobs: ", error.message()));
}

absl::StatusOr<Job> SqliteJobStore::ReadJob(const std::string& id) const {
  DDPT_ASSIGN_OR_RETURN(SqliteStatement row,
                        database_->Prepare(SelectJobs("WHERE id = ?"), NumberOfJob(id)));
  DDPT_ASSIGN_OR_RETURN(const bool found, row.Step());
  if (found) return JobOfRow(row);
  return NoSuchJob(id);
}

absl::Status SqliteJobStore::StoreFigures(const Job& job) {
  return database_->Run(kUpdateJob, options_.clock->WallMicros(), static_cast<int64_t>(job.state),
                        job.step, job.resumes, job.version, job.denoiser_digest, job.train_loss,
                        job.validation_nll, job.validation_nll_none, job.error,
                        NumberOfJob(job.id));
}

absl::Status SqliteJobStore::CheckRoom(const std::string& operation_id) const {
  DDPT_ASSIGN_OR_RETURN(
      const int64_t holder,
      database_->QueryInt("SELECT id FROM jobs WHERE operation_id = ?", operation_id));
  if (holder != 0) return OperationTaken(operation_id, holder);
  DDPT_ASSIGN_OR_RETURN(const uint64_t unfinished,
                        database_->QueryInt("SELECT COUNT(*) FROM jobs WHERE state < 2"));
  return CheckJobLimit(unfinished, options_.max_unfinished);
}

absl::StatusOr<uint64_t> SqliteJobStore::AppendEvent(const std::string& id,
                                                     std::string_view payload) {
  const int64_t job = NumberOfJob(id);
  DDPT_ASSIGN_OR_RETURN(
      const uint64_t last,
      database_->QueryInt("SELECT MAX(number) FROM job_events WHERE job = ?", job));
  DDPT_RETURN_IF_ERROR(
      database_->Run(absl::StrCat("INSERT INTO job_events SELECT id, ?2, updated_at, ",
                                  Piece(kFigureColumns), ", ?3 FROM jobs WHERE id = ?1"),
                     job, last + 1, payload));
  return last + 1;
}

}  // namespace ddpt
