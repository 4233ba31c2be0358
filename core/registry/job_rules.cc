#include "core/registry/job_rules.h"

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

constexpr size_t kMaxOperationIdBytes = 128;
constexpr size_t kMaxTokenBytes = 64;
constexpr char kIdPrefix[] = "job-";

std::string Quoted(std::string_view text) {
  return absl::StrCat("\"", absl::CHexEscape(Piece(text.substr(0, kMaxOperationIdBytes))), "\"");
}

}  // namespace

std::string IdOfJob(int64_t number) { return absl::StrCat(kIdPrefix, number); }

int64_t NumberOfJob(const std::string& id) {
  int64_t number = 0;
  const bool well_formed =
      absl::SimpleAtoi(absl::StripPrefix(id, kIdPrefix), &number) && IdOfJob(number) == id;
  return well_formed ? number : 0;
}

std::string TokenOfJob(const std::string& id) { return absl::WebSafeBase64Escape(id); }

absl::StatusOr<int64_t> NumberOfToken(std::string_view token) {
  if (token.empty()) return std::numeric_limits<int64_t>::max();
  std::string id;
  const bool readable = absl::WebSafeBase64Unescape(Piece(token.substr(0, kMaxTokenBytes)), &id);
  const int64_t number = readable ? NumberOfJob(id) : 0;
  if (number > 0) return number;
  return FieldError("page_token", "is not one that this store gave");
}

absl::Status CheckNewJob(const Job& job) {
  if (job.operation_id.empty() || job.operation_id.size() > kMaxOperationIdBytes) {
    return FieldError("operation_id", absl::StrCat("has ", job.operation_id.size(),
                                                   " bytes, outside 1..", kMaxOperationIdBytes));
  }
  return CheckTaskName(job.task);
}

absl::Status NoSuchJob(std::string_view id) {
  return absl::NotFoundError(absl::StrCat("job ", Quoted(id), " does not exist"));
}

absl::Status NoSuchOperation(std::string_view operation_id) {
  return absl::NotFoundError(absl::StrCat("no job has the operation_id ", Quoted(operation_id)));
}

absl::Status OperationTaken(std::string_view operation_id, int64_t job) {
  return absl::AlreadyExistsError(
      absl::StrCat("operation_id ", Quoted(operation_id), " has the job ", IdOfJob(job)));
}

absl::Status CheckJobLimit(uint64_t unfinished, uint64_t limit) {
  if (unfinished < limit) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("there is the limit of ", limit, " unfinished jobs"));
}

absl::Status CheckUnfinished(const Job& job) {
  if (!IsFinished(job.state)) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(job.id, " has finished before"));
}

absl::Status CheckCheckpoint(std::string_view state) {
  if (state.size() <= kMaxCheckpointBytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(
      "a checkpoint of ", state.size(), " bytes exceeds the limit of ", kMaxCheckpointBytes));
}

JobPage PageOf(std::vector<Job> jobs, uint32_t page_size) {
  JobPage page;
  if (jobs.size() > page_size) {
    jobs.resize(page_size);
    page.next_page_token = TokenOfJob(jobs.back().id);
  }
  page.jobs = std::move(jobs);
  return page;
}

}  // namespace ddpt
