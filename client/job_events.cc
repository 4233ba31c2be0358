#include "client/job_events.h"

#include <google/protobuf/util/time_util.h>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace ddpt {

absl::StatusOr<std::vector<v1::JobEvent>> EventsSoFar(Client& client, const std::string& job_id) {
  v1::GetJobRequest request;
  request.set_job_id(job_id);
  DDPT_ASSIGN_OR_RETURN(const v1::TrainingJob job, client.GetJob(request));
  v1::WatchJobRequest watch;
  watch.set_job_id(job.job_id());
  std::vector<v1::JobEvent> events;
  bool present = false;
  const absl::Status status = client.WatchJob(watch, [&](const v1::JobEvent& event) {
    events.push_back(event);
    // Changes of a job are events of the same time, but for a checkpoint and the wish to cancel it,
    // after which others come.
    present = event.time() >= job.update_time();
    return !present;
  });
  if (!present) DDPT_RETURN_IF_ERROR(status);
  if (events.empty()) {
    return absl::InternalError(absl::StrCat("the server sent no events of ", job.job_id()));
  }
  return events;
}

}  // namespace ddpt
