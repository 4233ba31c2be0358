#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/registry/dataset_store.h"
#include "core/registry/job_store.h"
#include "core/runtime/job_runner.h"
#include "ddpt/v1/training.grpc.pb.h"
#include "server/call.h"
#include "server/training_work.h"

namespace ddpt {

// ddpt.v1.TrainingService: durable jobs in a JobStore. Thread-safe.
class TrainingService final : public v1::TrainingService::CallbackService {
 public:
  struct Options {
    std::string state_directory;                            // of a registry that is open
    uint64_t trunk_memory_bytes = 0, trunk_file_bytes = 0;  // of a job; see TrainingResources
    std::vector<std::string> data_directories;
    SpanExporter* spans = nullptr;  // null: none are recorded
  };

  // Takes up the jobs that an earlier process left; blocks on storage. The references must outlive
  // the service. Jobs run on `pool`.
  static absl::StatusOr<std::unique_ptr<TrainingService>> Create(
      Calls& calls, std::shared_ptr<const BaseModel> base, Registry& registry, TaskCatalog& catalog,
      DatasetStore& datasets, JobStore& jobs, StreamPool& pool, Options options);
  // Stop.
  ~TrainingService();

  // See JobRunner::Notice.
  absl::Status Notice(const std::string& job) { return runner_->Notice(job); }
  // The id of the job that runs here; "" for none.
  std::string running() const { return runner_->running(); }
  // Ends watchers with UNAVAILABLE, saves the job that runs and starts none. Stop blocks for the
  // present piece of its work.
  void Cease();
  void Stop();

  grpc::ServerUnaryReactor* Train(grpc::CallbackServerContext* context,
                                  const v1::TrainRequest* request,
                                  v1::TrainingJob* response) override;
  grpc::ServerReadReactor<v1::DataChunk>* UploadDataset(grpc::CallbackServerContext* context,
                                                        v1::Dataset* response) override;
  grpc::ServerUnaryReactor* GetJob(grpc::CallbackServerContext* context,
                                   const v1::GetJobRequest* request,
                                   v1::TrainingJob* response) override;
  grpc::ServerUnaryReactor* ListJobs(grpc::CallbackServerContext* context,
                                     const v1::ListJobsRequest* request,
                                     v1::ListJobsResponse* response) override;
  grpc::ServerWriteReactor<v1::JobEvent>* WatchJob(grpc::CallbackServerContext* context,
                                                   const v1::WatchJobRequest* request) override;
  grpc::ServerUnaryReactor* CancelJob(grpc::CallbackServerContext* context,
                                      const v1::CancelJobRequest* request,
                                      v1::TrainingJob* response) override;

 private:
  TrainingService(Calls& calls, JobStore& jobs, Options options);

  absl::Status RemoveOld();
  absl::StatusOr<std::unique_ptr<JobWork>> MakeWork(const Job& job) const;
  void BeginSpan(const Job& job, const TraceContext& place);
  void EndSpan(const Job& job, std::optional<JobState> to);
  void Changed(const Job& job, std::optional<JobState> from, std::optional<JobState> to);
  // `traceparent` is that of the call.
  absl::StatusOr<Job> StartJob(const v1::TrainRequest& request, const std::string& traceparent);
  // `known`, which has the request's operation_id, if the same was asked for.
  absl::StatusOr<Job> SameJob(v1::TrainRequest request, const Job& known);
  // The request with its data stored, and named by digests.
  absl::StatusOr<v1::TrainRequest> Pin(const v1::TrainRequest& request);
  absl::StatusOr<std::string> PinExamples(const v1::Examples& examples, std::string_view field);
  absl::StatusOr<std::string> PinFile(const v1::TrainRequest& request);

  Calls& calls_;
  const Options options_;
  TrainingResources resources_;
  JobStore& jobs_;
  Span span_;  // of the job that runs; for the runner's thread
  std::unique_ptr<JobRunner> runner_;
  std::unique_ptr<StreamPool> data_;  // reads and tokenises whole data sets, which takes seconds
  const Metrics::Method& train_;
  const Metrics::Method& upload_;
  const Metrics::Method& get_;
  const Metrics::Method& list_;
  const Metrics::Method& watch_;
  const Metrics::Method& cancel_;
};

}  // namespace ddpt
