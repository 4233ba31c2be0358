#include "core/registry/sqlite_job_store.h"

#include <limits>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"
#include "core/registry/registry.h"

namespace ddpt {
namespace {

constexpr uint32_t kMaxPageSize = 1000;
constexpr size_t kMaxOperationIdBytes = 128;
constexpr size_t kMaxTokenBytes = 64;
constexpr char kIdPrefix[] = "job-";

static_assert(static_cast<int>(JobState::kQueued) == 0 && static_cast<int>(JobState::kRunning) == 1,
              "the statements below name unfinished states as those below 2");

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

constexpr std::string_view kSelectJobs =
    "SELECT id, operation_id, task, created_at, updated_at, state, cancel_requested, step, resumes,"
    " version, denoiser_digest, train_loss, validation_nll, validation_nll_none, error, request"
    " FROM jobs ";

constexpr std::string_view kSelectEvents =
    "SELECT j.id, j.operation_id, j.task, j.created_at, e.time, e.state, e.cancel_requested,"
    " e.step, e.resumes, e.version, e.denoiser_digest, e.train_loss, e.validation_nll,"
    " e.validation_nll_none, e.error, e.number, e.payload"
    " FROM job_events e JOIN jobs j ON j.id = e.job"
    " WHERE e.job = ? AND e.number > ? ORDER BY e.number LIMIT ?";

constexpr std::string_view kInsertEvent =
    "INSERT INTO job_events SELECT id, ?2, updated_at, state, cancel_requested, step, resumes,"
    " version, denoiser_digest, train_loss, validation_nll, validation_nll_none, error, ?3"
    " FROM jobs WHERE id = ?1";

constexpr std::string_view kUpdateJob =
    "UPDATE jobs SET updated_at = ?, state = ?, step = ?, resumes = ?, version = ?,"
    " denoiser_digest = ?, train_loss = ?, validation_nll = ?, validation_nll_none = ?, error = ?"
    " WHERE id = ?";

std::string Quoted(std::string_view text) {
  return absl::StrCat("\"", absl::CHexEscape(Piece(text.substr(0, kMaxOperationIdBytes))), "\"");
}

std::string IdOf(int64_t number) { return absl::StrCat(kIdPrefix, number); }

// 0, which no job has, for what is not an id.
int64_t NumberOf(const std::string& id) {
  int64_t number = 0;
  const bool well_formed =
      absl::SimpleAtoi(absl::StripPrefix(id, kIdPrefix), &number) && IdOf(number) == id;
  return well_formed ? number : 0;
}

// The columns that jobs and events begin with.
Job JobOf(const SqliteStatement& row) {
  Job job;
  job.id = IdOf(row.Int(0));
  job.operation_id = row.Text(1);
  job.task = row.Text(2);
  job.created_at_micros = row.Int(3);
  job.updated_at_micros = row.Int(4);
  job.state = static_cast<JobState>(row.Int(5));
  job.cancel_requested = row.Int(6) != 0;
  job.step = static_cast<uint64_t>(row.Int(7));
  job.resumes = static_cast<uint64_t>(row.Int(8));
  job.version = static_cast<uint64_t>(row.Int(9));
  job.denoiser_digest = row.Text(10);
  job.train_loss = row.Double(11);
  job.validation_nll = row.Double(12);
  job.validation_nll_none = row.Double(13);
  job.error = row.Text(14);
  return job;
}

Job JobWithRequestOf(const SqliteStatement& row) {
  Job job = JobOf(row);
  job.request = row.Text(15);
  return job;
}

absl::StatusOr<std::vector<Job>> ReadAll(SqliteStatement rows) {
  std::vector<Job> jobs;
  while (true) {
    DDPT_ASSIGN_OR_RETURN(const bool found, rows.Step());
    if (!found) return jobs;
    jobs.push_back(JobWithRequestOf(rows));
  }
}

absl::StatusOr<int64_t> NumberOfToken(std::string_view token) {
  if (token.empty()) return std::numeric_limits<int64_t>::max();
  std::string id;
  const bool readable = absl::WebSafeBase64Unescape(Piece(token.substr(0, kMaxTokenBytes)), &id);
  const int64_t number = readable ? NumberOf(id) : 0;
  if (number > 0) return number;
  return FieldError("page_token", "is not one that this store gave");
}

}  // namespace

absl::StatusOr<std::unique_ptr<SqliteJobStore>> SqliteJobStore::Open(
    SqliteJobStoreOptions options) {
  DDPT_ASSIGN_OR_RETURN(auto database,
                        SqliteDatabase::Open(options.state_directory + "/ddpt.sqlite3"));
  DDPT_RETURN_IF_ERROR(database->Migrate("jobs", kMigrations));
  return std::unique_ptr<SqliteJobStore>(
      new SqliteJobStore(std::move(options), std::move(database)));
}

absl::StatusOr<Job> SqliteJobStore::CreateJob(const Job& job) {
  if (job.operation_id.empty() || job.operation_id.size() > kMaxOperationIdBytes) {
    return FieldError("operation_id", absl::StrCat("has ", job.operation_id.size(),
                                                   " bytes, outside 1..", kMaxOperationIdBytes));
  }
  DDPT_RETURN_IF_ERROR(CheckTaskName(job.task));
  const std::lock_guard lock(mutex_);
  std::string id;
  DDPT_RETURN_IF_ERROR(database_->Transaction([&]() -> absl::Status {
    DDPT_RETURN_IF_ERROR(CheckRoom(job.operation_id));
    DDPT_RETURN_IF_ERROR(
        database_->Run("INSERT INTO jobs (operation_id, task, request, created_at, updated_at)"
                       " VALUES (?1, ?2, ?3, ?4, ?4)",
                       job.operation_id, job.task, job.request, options_.clock->WallMicros()));
    DDPT_ASSIGN_OR_RETURN(const int64_t number, database_->QueryInt("SELECT last_insert_rowid()"));
    id = IdOf(number);
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
  DDPT_ASSIGN_OR_RETURN(
      SqliteStatement row,
      database_->Prepare(absl::StrCat(Piece(kSelectJobs), "WHERE operation_id = ?"), operation_id));
  DDPT_ASSIGN_OR_RETURN(const bool found, row.Step());
  if (found) return JobWithRequestOf(row);
  return absl::NotFoundError(absl::StrCat("no job has the operation_id ", Quoted(operation_id)));
}

absl::StatusOr<JobPage> SqliteJobStore::ListJobs(const std::string& task, uint32_t page_size,
                                                 std::string_view page_token) const {
  if (page_size < 1 || page_size > kMaxPageSize) {
    return FieldError("page_size", absl::StrCat(page_size, " is outside 1..", kMaxPageSize));
  }
  if (!task.empty()) DDPT_RETURN_IF_ERROR(CheckTaskName(task));
  DDPT_ASSIGN_OR_RETURN(const int64_t before, NumberOfToken(page_token));
  const std::lock_guard lock(mutex_);
  DDPT_ASSIGN_OR_RETURN(SqliteStatement rows,
                        database_->Prepare(absl::StrCat(Piece(kSelectJobs),
                                                        "WHERE (?1 = '' OR task = ?1) AND id < ?2"
                                                        " ORDER BY id DESC LIMIT ?3"),
                                           task, before, uint64_t{page_size} + 1));
  JobPage page;
  DDPT_ASSIGN_OR_RETURN(page.jobs, ReadAll(std::move(rows)));
  if (page.jobs.size() > page_size) {
    page.jobs.pop_back();
    page.next_page_token = absl::WebSafeBase64Escape(page.jobs.back().id);
  }
  return page;
}

absl::StatusOr<std::vector<Job>> SqliteJobStore::UnfinishedJobs() const {
  const std::lock_guard lock(mutex_);
  DDPT_ASSIGN_OR_RETURN(
      SqliteStatement rows,
      database_->Prepare(absl::StrCat(Piece(kSelectJobs), "WHERE state < 2 ORDER BY id")));
  return ReadAll(std::move(rows));
}

absl::StatusOr<uint64_t> SqliteJobStore::UpdateJob(const Job& job, std::string_view payload) {
  const std::lock_guard lock(mutex_);
  uint64_t number = 0;
  DDPT_RETURN_IF_ERROR(database_->Transaction([&]() -> absl::Status {
    DDPT_ASSIGN_OR_RETURN(const Job before, ReadJob(job.id));
    if (IsFinished(before.state)) {
      return absl::FailedPreconditionError(absl::StrCat(job.id, " has finished before"));
    }
    DDPT_RETURN_IF_ERROR(
        database_->Run(kUpdateJob, options_.clock->WallMicros(), static_cast<int64_t>(job.state),
                       job.step, job.resumes, job.version, job.denoiser_digest, job.train_loss,
                       job.validation_nll, job.validation_nll_none, job.error, NumberOf(job.id)));
    DDPT_ASSIGN_OR_RETURN(number, AppendEvent(job.id, payload));
    return absl::OkStatus();
  }));
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
        static_cast<int64_t>(state), options_.clock->WallMicros(), NumberOf(id)));
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
  DDPT_ASSIGN_OR_RETURN(SqliteStatement rows,
                        database_->Prepare(kSelectEvents, NumberOf(id), after, uint64_t{limit}));
  while (true) {
    DDPT_ASSIGN_OR_RETURN(const bool found, rows.Step());
    if (!found) return events;
    events.push_back({.number = static_cast<uint64_t>(rows.Int(15)),
                      .time_micros = rows.Int(4),
                      .job = JobOf(rows),
                      .payload = rows.Text(16)});
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

absl::StatusOr<Job> SqliteJobStore::ReadJob(const std::string& id) const {
  DDPT_ASSIGN_OR_RETURN(
      SqliteStatement row,
      database_->Prepare(absl::StrCat(Piece(kSelectJobs), "WHERE id = ?"), NumberOf(id)));
  DDPT_ASSIGN_OR_RETURN(const bool found, row.Step());
  if (found) return JobWithRequestOf(row);
  return absl::NotFoundError(absl::StrCat("job ", Quoted(id), " does not exist"));
}

absl::Status SqliteJobStore::CheckRoom(const std::string& operation_id) const {
  DDPT_ASSIGN_OR_RETURN(
      const int64_t holder,
      database_->QueryInt("SELECT id FROM jobs WHERE operation_id = ?", operation_id));
  if (holder != 0) {
    return absl::AlreadyExistsError(
        absl::StrCat("operation_id ", Quoted(operation_id), " has the job ", IdOf(holder)));
  }
  DDPT_ASSIGN_OR_RETURN(const uint64_t unfinished,
                        database_->QueryInt("SELECT COUNT(*) FROM jobs WHERE state < 2"));
  if (unfinished < options_.max_unfinished) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("there is the limit of ", options_.max_unfinished, " unfinished jobs"));
}

absl::StatusOr<uint64_t> SqliteJobStore::AppendEvent(const std::string& id,
                                                     std::string_view payload) {
  const int64_t job = NumberOf(id);
  DDPT_ASSIGN_OR_RETURN(
      const uint64_t last,
      database_->QueryInt("SELECT MAX(number) FROM job_events WHERE job = ?", job));
  DDPT_RETURN_IF_ERROR(database_->Run(kInsertEvent, job, last + 1, payload));
  return last + 1;
}

}  // namespace ddpt
