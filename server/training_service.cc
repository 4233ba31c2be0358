#include "server/training_service.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "server/convert.h"
#include "server/status.h"
#include "server/training_job.h"
#include "server/training_plan.h"
#include "server/upload_call.h"
#include "server/validate.h"
#include "server/watch_call.h"

namespace ddpt {
namespace {

namespace fs = std::filesystem;

constexpr char kService[] = "ddpt.v1.TrainingService";
constexpr uint32_t kDefaultPage = 100;
// How long finished jobs and their operation ids are kept, and data sets that no job uses.
constexpr int64_t kRetentionMicros = int64_t{30} * 24 * 3600 * 1'000'000;
constexpr uint64_t kInlineLimit = uint64_t{3} << 20;

std::string_view StateName(JobState state) {
  static constexpr std::string_view kNames[] = {"queued", "running", "succeeded", "failed",
                                                "cancelled"};
  return kNames[static_cast<size_t>(state)];
}

bool IsBelow(const fs::path& path, const std::string& directory) {
  std::error_code error;
  const fs::path root = fs::canonical(directory, error);
  if (error) return false;
  return std::mismatch(root.begin(), root.end(), path.begin(), path.end()).first == root.end();
}

}  // namespace

TrainingService::TrainingService(Calls& calls, JobStore& jobs, Options options)
    : calls_(calls),
      options_(std::move(options)),
      jobs_(jobs),
      train_(calls.metrics().AddMethod(kService, "Train", "unary", /*queues=*/false)),
      upload_(calls.metrics().AddMethod(kService, "UploadDataset", "client_stream",
                                        /*queues=*/false)),
      get_(calls.metrics().AddMethod(kService, "GetJob", "unary", /*queues=*/false)),
      list_(calls.metrics().AddMethod(kService, "ListJobs", "unary", /*queues=*/false)),
      watch_(calls.metrics().AddMethod(kService, "WatchJob", "server_stream", /*queues=*/false)),
      cancel_(calls.metrics().AddMethod(kService, "CancelJob", "unary", /*queues=*/false)) {}

absl::StatusOr<std::unique_ptr<TrainingService>> TrainingService::Create(
    Calls& calls, std::shared_ptr<const BaseModel> base, Registry& registry, TaskCatalog& catalog,
    DatasetStore& datasets, JobStore& jobs, StreamPool& pool, Options options) {
  auto service =
      std::unique_ptr<TrainingService>(new TrainingService(calls, jobs, std::move(options)));
  Metrics& metrics = calls.metrics();
  service->resources_ = {
      .base = std::move(base),
      .datasets = &datasets,
      .registry = &registry,
      .catalog = &catalog,
      .jobs = &jobs,
      .trunk_memory_bytes = service->options_.trunk_memory_bytes,
      .trunk_file_bytes = service->options_.trunk_file_bytes,
      .trunk_directory = service->options_.state_directory + "/trunks",
      .on_step = [&metrics](const std::string& task, double loss,
                            std::chrono::nanoseconds time) { metrics.TrainStep(task, loss, time); },
      .on_saved = [&metrics] { metrics.TrainSaved(); }};
  DDPT_RETURN_IF_ERROR(service->RemoveOld());
  JobRunner::Options runner;
  runner.make_work = [raw = service.get()](const Job& job) { return raw->MakeWork(job); };
  runner.on_state = [raw = service.get()](const Job& job, std::optional<JobState> from,
                                          std::optional<JobState> to) {
    raw->Changed(job, from, to);
  };
  runner.on_trouble = [&calls](const Job& job, const absl::Status& status) {
    if (!job.id.empty()) calls.metrics().TrainNotStored();
    calls.log().Warn("job", {{"job", job.id}, {"message", std::string(status.message())}});
  };
  DDPT_ASSIGN_OR_RETURN(service->runner_, JobRunner::Create(jobs, pool, std::move(runner)));
  DDPT_ASSIGN_OR_RETURN(service->data_, StreamPool::Create({.threads = 1}));
  return service;
}

TrainingService::~TrainingService() { Stop(); }

void TrainingService::Cease() {
  if (runner_) runner_->Cease();
}

void TrainingService::Stop() {
  if (runner_) runner_->Stop();
  span_.End();
}

// Jobs and data that nobody can ask for any more.
absl::Status TrainingService::RemoveOld() {
  const int64_t before = SystemClock().WallMicros() - kRetentionMicros;
  DDPT_RETURN_IF_ERROR(jobs_.RemoveFinishedBefore(before).status());
  DDPT_ASSIGN_OR_RETURN(const std::vector<Job> unfinished, jobs_.UnfinishedJobs());
  std::set<std::string> data = resources_.catalog->ValidationDigests();
  for (const Job& job : unfinished) {
    DDPT_ASSIGN_OR_RETURN(const TrainingRecord record, ParseRecord(job.request));
    data.insert({record.request.dataset_digest(), record.request.validation_digest()});
  }
  return resources_.datasets->RemoveOlderThan(before, data).status();
}

absl::StatusOr<std::unique_ptr<JobWork>> TrainingService::MakeWork(const Job& job) const {
  DDPT_ASSIGN_OR_RETURN(const TrainingRecord record, ParseRecord(job.request));
  if (record.split_version != kSplitVersion) {
    return absl::FailedPreconditionError(
        "the server that accepted the job divided data in training and validation another way; "
        "start it again under another operation_id");
  }
  DDPT_ASSIGN_OR_RETURN(TrainingPlan plan, PlanOf(record.request));
  return MakeTrainingWork(resources_, std::move(plan), job);
}

void TrainingService::Changed(const Job& job, std::optional<JobState> from,
                              std::optional<JobState> to) {
  Metrics& metrics = calls_.metrics();
  metrics.TrainJob(from ? StateName(*from) : "", to ? StateName(*to) : "");
  if (from != to && to == JobState::kRunning && job.resumes > 0) metrics.TrainResumed();
  nlohmann::json fields = {
      {"job", job.id}, {"task", job.task}, {"state", to ? StateName(*to) : "elsewhere"}};
  const auto record = ParseRecord(job.request);
  const auto place = record.ok() ? ParseTraceparent(record->traceparent) : std::nullopt;
  if (place) fields["trace_id"] = place->TraceId();
  if (from == JobState::kRunning) EndSpan(job, to);
  if (from != to && to == JobState::kRunning && place) BeginSpan(job, *place);
  if (!job.error.empty()) fields["message"] = job.error;
  calls_.log().Info("job", fields);
  if (from == JobState::kRunning) metrics.TrainEnded(job.task);
}

// The time that the job runs here, in the trace of the call that started it.
void TrainingService::BeginSpan(const Job& job, const TraceContext& place) {
  span_ = Trace(options_.spans, place).Begin("train");
  span_.Set("ddpt.job", job.id);
  span_.Set("ddpt.task", job.task);
  span_.Set("ddpt.resumes", static_cast<int64_t>(job.resumes));
}

void TrainingService::EndSpan(const Job& job, std::optional<JobState> to) {
  span_.Set("ddpt.state", to ? StateName(*to) : "elsewhere");
  span_.Set("ddpt.steps", static_cast<int64_t>(job.step));
  if (to == JobState::kFailed) span_.Fail(job.error);
  span_.End();
}

grpc::ServerUnaryReactor* TrainingService::Train(grpc::CallbackServerContext* context,
                                                 const v1::TrainRequest* request,
                                                 v1::TrainingJob* response) {
  auto* call = new UnaryCall(calls_, train_, *context, *response);
  const auto start = [=, this]() -> absl::Status {
    DDPT_ASSIGN_OR_RETURN(const Job job, StartJob(*request, Traceparent((*call)->trace().place())));
    return ToProto(job, job.request, response);
  };
  return call->RunBlocking(request->task(), start, data_.get());
}

absl::StatusOr<Job> TrainingService::StartJob(const v1::TrainRequest& request,
                                              const std::string& traceparent) {
  DDPT_RETURN_IF_ERROR(ValidateTrain(request));
  const absl::StatusOr<Job> known = jobs_.FindJob(request.operation_id());
  if (known.ok()) return SameJob(request, *known);
  if (!absl::IsNotFound(known.status())) return known.status();
  DDPT_ASSIGN_OR_RETURN(const v1::TrainRequest pinned, Pin(request));
  DDPT_ASSIGN_OR_RETURN(const TrainingPlan plan, PlanOf(pinned));
  DDPT_ASSIGN_OR_RETURN(const DataSplit split, CheckTrainingData(resources_, plan));
  const TrainingRecord record{.request = pinned,
                              .path = request.path(),
                              .train_examples = split.train.size(),
                              .validation_examples = split.validation.size(),
                              .duplicate_examples = split.duplicates,
                              .shared_instructions = split.shared_instructions,
                              .split_version = kSplitVersion,
                              .traceparent = traceparent};
  const Job job{.operation_id = request.operation_id(),
                .task = request.task(),
                .request = SerializeRecord(record)};
  absl::StatusOr<Job> created = runner_->Submit(job);
  if (!absl::IsAlreadyExists(created.status())) return created;
  // Another call with this operation_id came first.
  DDPT_ASSIGN_OR_RETURN(const Job first, jobs_.FindJob(request.operation_id()));
  return SameJob(request, first);
}

absl::StatusOr<Job> TrainingService::SameJob(v1::TrainRequest request, const Job& known) {
  DDPT_ASSIGN_OR_RETURN(const TrainingRecord record, ParseRecord(known.request));
  // The job keeps to the data that it has read, whatever has become of the file.
  if (!record.path.empty() && request.path() == record.path) {
    request.set_dataset_digest(record.request.dataset_digest());
  }
  DDPT_ASSIGN_OR_RETURN(const v1::TrainRequest pinned, Pin(request));
  const std::string field = FirstDifference(pinned, record.request);
  if (field.empty()) return known;
  return absl::AlreadyExistsError(absl::StrCat("operation_id \"", request.operation_id(),
                                               "\" has started ", known.id,
                                               " with another request: \"", field, "\" differs"));
}

absl::StatusOr<v1::TrainRequest> TrainingService::Pin(const v1::TrainRequest& request) {
  v1::TrainRequest pinned = request;
  pinned.clear_data_format();
  if (request.has_examples()) {
    DDPT_ASSIGN_OR_RETURN(*pinned.mutable_dataset_digest(),
                          PinExamples(request.examples(), "examples"));
  } else if (request.data_case() == v1::TrainRequest::kPath) {
    DDPT_ASSIGN_OR_RETURN(*pinned.mutable_dataset_digest(), PinFile(request));
  }
  if (request.has_validation_examples()) {
    DDPT_ASSIGN_OR_RETURN(*pinned.mutable_validation_digest(),
                          PinExamples(request.validation_examples(), "validation_examples"));
  }
  return pinned;
}

absl::StatusOr<std::string> TrainingService::PinExamples(const v1::Examples& examples,
                                                         std::string_view field) {
  if (examples.ByteSizeLong() > kInlineLimit) {
    return FieldError(field,
                      absl::StrCat("has ", examples.ByteSizeLong(), " bytes, above the limit of ",
                                   kInlineLimit, "; use UploadDataset"));
  }
  absl::StatusOr<Dataset> dataset = MakeDataset(FromProto(examples));
  DDPT_RETURN_IF_ERROR(Annotate(dataset.status(), field));
  DDPT_ASSIGN_OR_RETURN(const StoredDataset stored, resources_.datasets->Put(*dataset));
  return stored.digest;
}

absl::StatusOr<std::string> TrainingService::PinFile(const v1::TrainRequest& request) {
  std::error_code error;
  const fs::path path = fs::canonical(request.path(), error);
  const auto allowed = [&](const std::string& directory) { return IsBelow(path, directory); };
  if (error ||
      std::none_of(options_.data_directories.begin(), options_.data_directories.end(), allowed)) {
    return FieldError("path", absl::StrCat("\"", request.path(),
                                           "\" is no file in the directories that this server's "
                                           "data-directory allows"));
  }
  DDPT_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path.string(), kMaxDatasetBytes));
  DDPT_ASSIGN_OR_RETURN(const DatasetFormat format, FromProto(request.data_format()));
  DDPT_ASSIGN_OR_RETURN(const Dataset dataset, ParseDataset(bytes, format));
  DDPT_ASSIGN_OR_RETURN(const StoredDataset stored, resources_.datasets->Put(dataset));
  return stored.digest;
}

grpc::ServerReadReactor<v1::DataChunk>* TrainingService::UploadDataset(
    grpc::CallbackServerContext* context, v1::Dataset* response) {
  const auto check = [](const v1::DataChunk::Header& header) { return FromProto(header).status(); };
  const auto store = [=, this](const v1::DataChunk::Header& header,
                               Upload& upload) -> absl::Status {
    DDPT_ASSIGN_OR_RETURN(const DatasetFormat format, FromProto(header));
    DDPT_ASSIGN_OR_RETURN(const std::string_view bytes, upload.Map());
    DDPT_ASSIGN_OR_RETURN(const Dataset dataset, ParseDataset(bytes, format));
    DDPT_ASSIGN_OR_RETURN(const StoredDataset stored, resources_.datasets->Put(dataset));
    response->set_digest(stored.digest);
    response->set_examples(stored.examples);
    response->set_size_bytes(stored.size_bytes);
    return absl::OkStatus();
  };
  return UploadCall<v1::DataChunk>::Start(
      calls_, upload_, *context,
      {options_.state_directory + "/uploads", kMaxDatasetBytes, check, store, data_.get()});
}

grpc::ServerUnaryReactor* TrainingService::GetJob(grpc::CallbackServerContext* context,
                                                  const v1::GetJobRequest* request,
                                                  v1::TrainingJob* response) {
  auto* call = new UnaryCall(calls_, get_, *context, *response);
  return call->RunBlocking("", [=, this]() -> absl::Status {
    if (request->id_case() == v1::GetJobRequest::ID_NOT_SET) {
      return FieldError("id", "is missing: job_id or operation_id");
    }
    DDPT_ASSIGN_OR_RETURN(const Job job, request->has_job_id()
                                             ? jobs_.GetJob(request->job_id())
                                             : jobs_.FindJob(request->operation_id()));
    return ToProto(job, job.request, response);
  });
}

grpc::ServerUnaryReactor* TrainingService::ListJobs(grpc::CallbackServerContext* context,
                                                    const v1::ListJobsRequest* request,
                                                    v1::ListJobsResponse* response) {
  auto* call = new UnaryCall(calls_, list_, *context, *response);
  return call->RunBlocking(request->task(), [=, this]() -> absl::Status {
    if (!request->task().empty()) DDPT_RETURN_IF_ERROR(CheckTaskName(request->task()));
    DDPT_RETURN_IF_ERROR(ValidatePageSize(request->page_size()));
    const uint32_t size = request->page_size() > 0 ? request->page_size() : kDefaultPage;
    DDPT_ASSIGN_OR_RETURN(const JobPage page,
                          jobs_.ListJobs(request->task(), size, request->page_token()));
    for (const Job& job : page.jobs) {
      DDPT_RETURN_IF_ERROR(ToProto(job, job.request, response->add_jobs()));
    }
    response->set_next_page_token(page.next_page_token);
    return absl::OkStatus();
  });
}

grpc::ServerWriteReactor<v1::JobEvent>* TrainingService::WatchJob(
    grpc::CallbackServerContext* context, const v1::WatchJobRequest* request) {
  return WatchCall::Start(calls_, watch_, *context, jobs_, *runner_, *request);
}

grpc::ServerUnaryReactor* TrainingService::CancelJob(grpc::CallbackServerContext* context,
                                                     const v1::CancelJobRequest* request,
                                                     v1::TrainingJob* response) {
  auto* call = new UnaryCall(calls_, cancel_, *context, *response);
  return call->RunBlocking("", [=, this]() -> absl::Status {
    if (request->job_id().empty()) return FieldError("job_id", "is empty");
    DDPT_ASSIGN_OR_RETURN(const Job job, runner_->Cancel(request->job_id()));
    return ToProto(job, job.request, response);
  });
}

}  // namespace ddpt
