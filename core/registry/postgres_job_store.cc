#include "core/registry/postgres_job_store.h"

#include <functional>
#include <limits>
#include <random>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/status.h"
#include "core/registry/job_rules.h"
#include "core/registry/postgres_blobs.h"
#include "core/registry/registry_rules.h"

namespace ddpt {
namespace {

// What callers bring is kept as bytes: it need not be text.
constexpr std::string_view kMigrations[] = {
    R"(CREATE TABLE jobs (
         id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
         operation_id BYTEA NOT NULL UNIQUE,
         task TEXT NOT NULL,
         created_at BIGINT NOT NULL,
         updated_at BIGINT NOT NULL,
         state BIGINT NOT NULL DEFAULT 0,
         cancel_requested BIGINT NOT NULL DEFAULT 0,
         step BIGINT NOT NULL DEFAULT 0,
         resumes BIGINT NOT NULL DEFAULT 0,
         version BIGINT NOT NULL DEFAULT 0,
         denoiser_digest TEXT NOT NULL DEFAULT '',
         train_loss DOUBLE PRECISION NOT NULL DEFAULT 0,
         validation_nll DOUBLE PRECISION NOT NULL DEFAULT 0,
         validation_nll_none DOUBLE PRECISION NOT NULL DEFAULT 0,
         error BYTEA NOT NULL DEFAULT '',
         request BYTEA NOT NULL,
         owner TEXT NOT NULL DEFAULT '',
         lease BIGINT NOT NULL DEFAULT 0,
         lease_end BIGINT NOT NULL DEFAULT 0);
       CREATE INDEX jobs_unfinished ON jobs (id) WHERE state < 2;
       CREATE TABLE job_events (
         job BIGINT NOT NULL REFERENCES jobs ON DELETE CASCADE,
         number BIGINT NOT NULL,
         time BIGINT NOT NULL,
         state BIGINT NOT NULL,
         cancel_requested BIGINT NOT NULL,
         step BIGINT NOT NULL,
         resumes BIGINT NOT NULL,
         version BIGINT NOT NULL,
         denoiser_digest TEXT NOT NULL,
         train_loss DOUBLE PRECISION NOT NULL,
         validation_nll DOUBLE PRECISION NOT NULL,
         validation_nll_none DOUBLE PRECISION NOT NULL,
         error BYTEA NOT NULL,
         payload BYTEA NOT NULL,
         PRIMARY KEY (job, number));)",
};

std::string BlobOf(const std::string& id) { return absl::StrCat("checkpoint/", id); }

std::string SelectJobs(std::string_view where) {
  return absl::StrCat(Piece(kJobColumns), ", lease, owner FROM jobs ", Piece(where));
}

Job LeasedJobOfRow(const PostgresRow& row) {
  Job job = JobOfRow(row);
  job.lease = static_cast<uint64_t>(row.Int(16));
  return job;
}

std::vector<Job> JobsOf(const PostgresRows& rows) {
  std::vector<Job> jobs;
  for (size_t i = 0; i < rows.size(); ++i) jobs.push_back(LeasedJobOfRow(rows[i]));
  return jobs;
}

absl::StatusOr<Job> ReadJob(PostgresTransaction& transaction, const std::string& id) {
  DDPT_ASSIGN_OR_RETURN(const PostgresRows rows,
                        transaction.Query(SelectJobs("WHERE id = $1"), NumberOfJob(id)));
  if (rows.empty()) return NoSuchJob(id);
  return LeasedJobOfRow(rows[0]);
}

absl::Status StoreFigures(PostgresTransaction& transaction, const Job& job) {
  return transaction.Run(
      "UPDATE jobs SET updated_at = ddpt_now(), state = $2, step = $3, resumes = $4, version = $5,"
      " denoiser_digest = $6, train_loss = $7, validation_nll = $8, validation_nll_none = $9,"
      " error = $10 WHERE id = $1",
      NumberOfJob(job.id), static_cast<int64_t>(job.state), job.step, job.resumes, job.version,
      job.denoiser_digest, job.train_loss, job.validation_nll, job.validation_nll_none,
      PostgresBytes{job.error});
}

// Keeps the job's row, which is locked, as its next event, and tells the others. The event's
// number.
absl::StatusOr<uint64_t> AppendEvent(PostgresTransaction& transaction, const std::string& id,
                                     std::string_view payload) {
  DDPT_ASSIGN_OR_RETURN(
      const uint64_t number,
      transaction.QueryInt(
          absl::StrCat("INSERT INTO job_events SELECT id,"
                       " (SELECT COALESCE(MAX(number), 0) + 1 FROM job_events WHERE job = $1),"
                       " updated_at, ",
                       Piece(kFigureColumns), ", $2 FROM jobs WHERE id = $1 RETURNING number"),
          NumberOfJob(id), PostgresBytes{payload}));
  DDPT_RETURN_IF_ERROR(TellOthers(transaction, "jobs", id));
  return number;
}

template <typename Result>
absl::StatusOr<Result> Do(PostgresDatabase& database,
                          const std::function<absl::StatusOr<Result>(PostgresTransaction&)>& body) {
  absl::StatusOr<Result> result;
  DDPT_RETURN_IF_ERROR(database.Transaction([&](PostgresTransaction& transaction) {
    result = body(transaction);
    return result.status();
  }));
  return result;
}

}  // namespace

absl::StatusOr<std::unique_ptr<PostgresJobStore>> PostgresJobStore::Open(
    PostgresDatabase& database, PostgresJobStoreOptions options) {
  DDPT_RETURN_IF_ERROR(database.Migrate("jobs", kMigrations));
  std::random_device random;
  std::string owner = absl::StrFormat("%08x%08x%08x%08x", random(), random(), random(), random());
  return std::unique_ptr<PostgresJobStore>(
      new PostgresJobStore(database, options, std::move(owner)));
}

absl::StatusOr<Job> PostgresJobStore::CreateJob(const Job& job) {
  DDPT_RETURN_IF_ERROR(CheckNewJob(job));
  return Do<Job>(database_, [&](PostgresTransaction& transaction) -> absl::StatusOr<Job> {
    // Those who create wait for each other, so that the limit holds.
    DDPT_RETURN_IF_ERROR(
        transaction.Run("SELECT number FROM revisions WHERE kind = 'jobs' FOR UPDATE"));
    DDPT_ASSIGN_OR_RETURN(const int64_t holder,
                          transaction.QueryInt("SELECT id FROM jobs WHERE operation_id = $1",
                                               PostgresBytes{job.operation_id}));
    if (holder != 0) return OperationTaken(job.operation_id, holder);
    DDPT_ASSIGN_OR_RETURN(const uint64_t unfinished,
                          transaction.QueryInt("SELECT COUNT(*) FROM jobs WHERE state < 2"));
    DDPT_RETURN_IF_ERROR(CheckJobLimit(unfinished, options_.max_unfinished));
    DDPT_ASSIGN_OR_RETURN(
        const int64_t number,
        transaction.QueryInt(
            "INSERT INTO jobs (operation_id, task, request, created_at, updated_at)"
            " SELECT $1, $2, $3, now, now FROM ddpt_now() AS now RETURNING id",
            PostgresBytes{job.operation_id}, job.task, PostgresBytes{job.request}));
    const std::string id = IdOfJob(number);
    DDPT_RETURN_IF_ERROR(AppendEvent(transaction, id, "").status());
    return ReadJob(transaction, id);
  });
}

absl::StatusOr<Job> PostgresJobStore::GetJob(const std::string& id) const {
  return Do<Job>(database_,
                 [&](PostgresTransaction& transaction) { return ReadJob(transaction, id); });
}

absl::StatusOr<Job> PostgresJobStore::FindJob(const std::string& operation_id) const {
  return Do<Job>(database_, [&](PostgresTransaction& transaction) -> absl::StatusOr<Job> {
    DDPT_ASSIGN_OR_RETURN(
        const PostgresRows rows,
        transaction.Query(SelectJobs("WHERE operation_id = $1"), PostgresBytes{operation_id}));
    if (rows.empty()) return NoSuchOperation(operation_id);
    return LeasedJobOfRow(rows[0]);
  });
}

absl::StatusOr<JobPage> PostgresJobStore::ListJobs(const std::string& task, uint32_t page_size,
                                                   std::string_view page_token) const {
  DDPT_RETURN_IF_ERROR(CheckPageSize(page_size));
  if (!task.empty()) DDPT_RETURN_IF_ERROR(CheckTaskName(task));
  DDPT_ASSIGN_OR_RETURN(const int64_t before, NumberOfToken(page_token));
  return Do<JobPage>(database_, [&](PostgresTransaction& transaction) -> absl::StatusOr<JobPage> {
    DDPT_ASSIGN_OR_RETURN(const PostgresRows rows,
                          transaction.Query(SelectJobs("WHERE ($1 = '' OR task = $1) AND id < $2"
                                                       " ORDER BY id DESC LIMIT $3"),
                                            task, before, uint64_t{page_size} + 1));
    return PageOf(JobsOf(rows), page_size);
  });
}

absl::StatusOr<std::vector<Job>> PostgresJobStore::UnfinishedJobs() const {
  using Jobs = std::vector<Job>;
  return Do<Jobs>(database_, [&](PostgresTransaction& transaction) -> absl::StatusOr<Jobs> {
    DDPT_ASSIGN_OR_RETURN(const PostgresRows rows,
                          transaction.Query(SelectJobs("WHERE state < 2 ORDER BY id")));
    return JobsOf(rows);
  });
}

absl::StatusOr<std::optional<Job>> PostgresJobStore::TakeJob() {
  using Taken = std::optional<Job>;
  return Do<Taken>(database_, [&](PostgresTransaction& transaction) -> absl::StatusOr<Taken> {
    DDPT_ASSIGN_OR_RETURN(
        const int64_t number,
        transaction.QueryInt("SELECT id FROM jobs"
                             " WHERE state = 0 OR (state = 1 AND lease_end <= ddpt_now())"
                             " ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED"));
    if (number == 0) return std::nullopt;
    DDPT_RETURN_IF_ERROR(transaction.Run(
        "UPDATE jobs SET resumes = resumes + state, state = 1, updated_at = ddpt_now(), owner = $2,"
        " lease = lease + 1, lease_end = ddpt_now() + $3 WHERE id = $1",
        number, owner_, std::chrono::microseconds(options_.lease).count()));
    const std::string id = IdOfJob(number);
    DDPT_RETURN_IF_ERROR(AppendEvent(transaction, id, "").status());
    return ReadJob(transaction, id);
  });
}

absl::StatusOr<Job> PostgresJobStore::LockJob(PostgresTransaction& transaction,
                                              const Job& job) const {
  DDPT_ASSIGN_OR_RETURN(
      const PostgresRows rows,
      transaction.Query(SelectJobs("WHERE id = $1 FOR UPDATE"), NumberOfJob(job.id)));
  if (rows.empty()) return NoSuchJob(job.id);
  Job now = LeasedJobOfRow(rows[0]);
  DDPT_RETURN_IF_ERROR(CheckUnfinished(now));
  const std::string owner = rows[0].Text(17);
  if (now.lease == job.lease && (owner == owner_ || owner.empty())) return now;
  return absl::AbortedError(absl::StrCat(job.id, " has been taken over by another server"));
}

absl::StatusOr<Job> PostgresJobStore::RenewJob(const Job& job) {
  return Do<Job>(database_, [&](PostgresTransaction& transaction) -> absl::StatusOr<Job> {
    DDPT_ASSIGN_OR_RETURN(Job now, LockJob(transaction, job));
    DDPT_RETURN_IF_ERROR(
        transaction.Run("UPDATE jobs SET lease_end = ddpt_now() + $2 WHERE id = $1",
                        NumberOfJob(job.id), std::chrono::microseconds(options_.lease).count()));
    return now;
  });
}

absl::Status PostgresJobStore::LeaveJob(const Job& job) {
  return database_.Transaction([&](PostgresTransaction& transaction) -> absl::Status {
    DDPT_RETURN_IF_ERROR(LockJob(transaction, job).status());
    DDPT_RETURN_IF_ERROR(
        transaction.Run("UPDATE jobs SET lease_end = 0 WHERE id = $1", NumberOfJob(job.id)));
    return TellOthers(transaction, "jobs", job.id);
  });
}

absl::Status PostgresJobStore::SaveCheckpoint(const Job& job, std::string_view state) {
  DDPT_RETURN_IF_ERROR(CheckCheckpoint(state));
  return database_.Transaction([&](PostgresTransaction& transaction) -> absl::Status {
    // The job's row last: who renews its lease waits for it.
    DDPT_RETURN_IF_ERROR(PutBlob(transaction, BlobOf(job.id), state));
    DDPT_RETURN_IF_ERROR(LockJob(transaction, job).status());
    return StoreFigures(transaction, job);
  });
}

absl::StatusOr<std::string> PostgresJobStore::ReadCheckpoint(const std::string& id) const {
  DDPT_RETURN_IF_ERROR(GetJob(id).status());
  return GetBlob(database_, BlobOf(id));
}

absl::StatusOr<uint64_t> PostgresJobStore::UpdateJob(const Job& job, std::string_view payload) {
  return Do<uint64_t>(database_, [&](PostgresTransaction& transaction) -> absl::StatusOr<uint64_t> {
    DDPT_RETURN_IF_ERROR(LockJob(transaction, job).status());
    DDPT_RETURN_IF_ERROR(StoreFigures(transaction, job));
    if (IsFinished(job.state)) {
      DDPT_RETURN_IF_ERROR(RemoveBlob(transaction, BlobOf(job.id)));
    }
    return AppendEvent(transaction, job.id, payload);
  });
}

absl::StatusOr<Job> PostgresJobStore::RequestCancel(const std::string& id) {
  return Do<Job>(database_, [&](PostgresTransaction& transaction) -> absl::StatusOr<Job> {
    DDPT_ASSIGN_OR_RETURN(
        const PostgresRows rows,
        transaction.Query(SelectJobs("WHERE id = $1 FOR UPDATE"), NumberOfJob(id)));
    if (rows.empty()) return NoSuchJob(id);
    const Job job = LeasedJobOfRow(rows[0]);
    if (IsFinished(job.state)) return job;
    const JobState state = job.state == JobState::kQueued ? JobState::kCancelled : job.state;
    DDPT_RETURN_IF_ERROR(transaction.Run(
        "UPDATE jobs SET cancel_requested = 1, state = $2, updated_at = ddpt_now() WHERE id = $1",
        NumberOfJob(id), static_cast<int64_t>(state)));
    if (state != job.state) {
      DDPT_RETURN_IF_ERROR(AppendEvent(transaction, id, "").status());
    } else {
      DDPT_RETURN_IF_ERROR(TellOthers(transaction, "jobs", id));
    }
    return ReadJob(transaction, id);
  });
}

absl::StatusOr<std::vector<JobEvent>> PostgresJobStore::ListEvents(const std::string& id,
                                                                   uint64_t after,
                                                                   uint32_t limit) const {
  using Events = std::vector<JobEvent>;
  return Do<Events>(database_, [&](PostgresTransaction& transaction) -> absl::StatusOr<Events> {
    DDPT_RETURN_IF_ERROR(ReadJob(transaction, id).status());
    Events events;
    if (after > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return events;
    DDPT_ASSIGN_OR_RETURN(
        const PostgresRows rows,
        transaction.Query(
            absl::StrCat(Piece(kEventColumns),
                         "WHERE e.job = $1 AND e.number > $2 ORDER BY e.number LIMIT $3"),
            NumberOfJob(id), after, uint64_t{limit}));
    for (size_t i = 0; i < rows.size(); ++i) events.push_back(EventOfRow(rows[i]));
    return events;
  });
}

absl::StatusOr<uint64_t> PostgresJobStore::RemoveFinishedBefore(int64_t micros) {
  return Do<uint64_t>(database_, [&](PostgresTransaction& transaction) -> absl::StatusOr<uint64_t> {
    DDPT_ASSIGN_OR_RETURN(
        const PostgresRows rows,
        transaction.Query("DELETE FROM jobs WHERE state >= 2 AND updated_at < $1 RETURNING id",
                          micros));
    return rows.size();
  });
}

}  // namespace ddpt
