#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/registry/job_store.h"

namespace ddpt {

// What job stores have in common, whatever they store their records in.

static_assert(static_cast<int>(JobState::kQueued) == 0 && static_cast<int>(JobState::kRunning) == 1,
              "statements name unfinished states as those below 2");

// "job-17" for 17, and back: 0, which no job has, for what is not an id.
std::string IdOfJob(int64_t number);
int64_t NumberOfJob(const std::string& id);

// A page token and the number of the job that its page ended with; beyond all for "". FieldError of
// "page_token".
std::string TokenOfJob(const std::string& id);
absl::StatusOr<int64_t> NumberOfToken(std::string_view token);

// FieldErrors of what CreateJob is given.
absl::Status CheckNewJob(const Job& job);

// Errors of the JobStore's calls.
absl::Status NoSuchJob(std::string_view id);
absl::Status NoSuchOperation(std::string_view operation_id);
absl::Status OperationTaken(std::string_view operation_id, int64_t job);
// OK below the limit.
absl::Status CheckJobLimit(uint64_t unfinished, uint64_t limit);
absl::Status CheckUnfinished(const Job& job);
absl::Status CheckCheckpoint(std::string_view state);

// The columns that rows of jobs and events begin with, and that both tables share.
inline constexpr std::string_view kJobColumns =
    "SELECT id, operation_id, task, created_at, updated_at, state, cancel_requested, step, resumes,"
    " version, denoiser_digest, train_loss, validation_nll, validation_nll_none, error, request";
inline constexpr std::string_view kEventColumns =
    "SELECT j.id, j.operation_id, j.task, j.created_at, e.time, e.state, e.cancel_requested,"
    " e.step, e.resumes, e.version, e.denoiser_digest, e.train_loss, e.validation_nll,"
    " e.validation_nll_none, e.error, e.number, e.payload"
    " FROM job_events e JOIN jobs j ON j.id = e.job ";
// Those of an event that are the job's, after job, number and time.
inline constexpr std::string_view kFigureColumns =
    "state, cancel_requested, step, resumes, version, denoiser_digest, train_loss, validation_nll,"
    " validation_nll_none, error";

// The job of a row of kEventColumns, whose `request` is not told.
template <typename Row>
Job FiguresOfRow(const Row& row) {
  Job job;
  job.id = IdOfJob(row.Int(0));
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

// The job of a row of kJobColumns.
template <typename Row>
Job JobOfRow(const Row& row) {
  Job job = FiguresOfRow(row);
  job.request = row.Text(15);
  return job;
}

template <typename Row>
JobEvent EventOfRow(const Row& row) {
  return {.number = static_cast<uint64_t>(row.Int(15)),
          .time_micros = row.Int(4),
          .job = FiguresOfRow(row),
          .payload = row.Text(16)};
}

// A page of at most `page_size`, of jobs that were read up to one more than that.
JobPage PageOf(std::vector<Job> jobs, uint32_t page_size);

}  // namespace ddpt
