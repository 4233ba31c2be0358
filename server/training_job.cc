#include "server/training_job.h"

#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/time_util.h>

#include <nlohmann/json.hpp>

#include "core/base/status.h"

namespace ddpt {
namespace {

using google::protobuf::util::JsonStringToMessage;
using google::protobuf::util::MessageToJsonString;
using google::protobuf::util::TimeUtil;

constexpr uint32_t kDefaultSteps = 300;

v1::TrainingJob::State ToProto(JobState state) {
  switch (state) {
    case JobState::kQueued:
      return v1::TrainingJob::STATE_QUEUED;
    case JobState::kRunning:
      return v1::TrainingJob::STATE_RUNNING;
    case JobState::kSucceeded:
      return v1::TrainingJob::STATE_SUCCEEDED;
    case JobState::kFailed:
      return v1::TrainingJob::STATE_FAILED;
    case JobState::kCancelled:
      return v1::TrainingJob::STATE_CANCELLED;
  }
  return v1::TrainingJob::STATE_UNSPECIFIED;
}

}  // namespace

std::string SerializeRecord(const TrainingRecord& record) {
  std::string request;
  const bool written = MessageToJsonString(record.request, &request).ok();
  return nlohmann::json({{"request", written ? request : ""},
                         {"path", record.path},
                         {"train_examples", record.train_examples},
                         {"validation_examples", record.validation_examples},
                         {"duplicate_examples", record.duplicate_examples},
                         {"shared_instructions", record.shared_instructions},
                         {"split_version", record.split_version},
                         {"traceparent", record.traceparent}})
      .dump();
}

absl::StatusOr<TrainingRecord> ParseRecord(const std::string& text) {
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  const std::string request = json.is_object() ? json.value("request", "") : "";
  TrainingRecord record;
  if (!JsonStringToMessage(request, &record.request).ok()) {
    return absl::DataLossError("the record of the job's request is broken");
  }
  record.path = json.value("path", "");
  record.train_examples = json.value("train_examples", uint64_t{0});
  record.validation_examples = json.value("validation_examples", uint64_t{0});
  record.duplicate_examples = json.value("duplicate_examples", uint64_t{0});
  record.shared_instructions = json.value("shared_instructions", uint64_t{0});
  record.split_version = json.value("split_version", 0);
  record.traceparent = json.value("traceparent", "");
  return record;
}

absl::Status ToProto(const Job& job, const std::string& record, v1::TrainingJob* out) {
  DDPT_ASSIGN_OR_RETURN(const TrainingRecord asked, ParseRecord(record));
  const v1::TrainRequest& request = asked.request;
  out->set_job_id(job.id);
  out->set_operation_id(request.operation_id());
  out->set_task(request.task());
  out->set_state(ToProto(job.state));
  out->set_step(job.step);
  out->set_total_steps(request.options().has_steps() ? request.options().steps() : kDefaultSteps);
  out->set_denoiser_digest(job.denoiser_digest);
  out->set_version(job.version);
  out->set_method(request.method() == v1::METHOD_UNSPECIFIED ? v1::METHOD_DDPT : request.method());
  out->set_train_loss(job.train_loss);
  out->set_validation_nll(job.validation_nll);
  out->set_validation_nll_none(job.validation_nll_none);
  out->set_error(job.error);
  out->set_dataset_digest(request.dataset_digest());
  out->set_train_examples(asked.train_examples);
  out->set_validation_examples(asked.validation_examples);
  out->set_duplicate_examples(asked.duplicate_examples);
  out->set_shared_instructions(asked.shared_instructions);
  *out->mutable_create_time() = TimeUtil::MicrosecondsToTimestamp(job.created_at_micros);
  *out->mutable_update_time() = TimeUtil::MicrosecondsToTimestamp(job.updated_at_micros);
  out->set_resumes(static_cast<uint32_t>(job.resumes));
  return absl::OkStatus();
}

absl::Status ToProto(const JobEvent& event, const std::string& record, v1::JobEvent* out) {
  out->set_event(event.number);
  *out->mutable_time() = TimeUtil::MicrosecondsToTimestamp(event.time_micros);
  DDPT_RETURN_IF_ERROR(ToProto(event.job, record, out->mutable_job()));
  const auto payload = nlohmann::json::parse(event.payload, nullptr, /*allow_exceptions=*/false);
  if (!payload.is_object()) return absl::OkStatus();
  out->set_message(payload.value("message", ""));
  const nlohmann::json metrics = payload.value("metrics", nlohmann::json::object());
  for (const auto& [name, value] : metrics.items()) {
    if (value.is_number()) (*out->mutable_metrics())[name] = value.get<double>();
  }
  return absl::OkStatus();
}

}  // namespace ddpt
