#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "client/retry.h"
#include "ddpt/v1/code.pb.h"
#include "ddpt/v1/evaluation.pb.h"
#include "ddpt/v1/model.pb.h"
#include "ddpt/v1/prompt.pb.h"
#include "ddpt/v1/task.pb.h"
#include "ddpt/v1/training.pb.h"

namespace ddpt {

// A connection to one DDPT service (one or many replicas: calls go round robin over the addresses
// that `target` resolves to). Every call blocks, has a deadline, and returns the server's error
// with its code, message and details (FieldOf, RetryAfter, ReasonOf). UNAVAILABLE names the
// target.
//
// Calls that change nothing, or may be made twice with the same effect, are made again after
// UNAVAILABLE, within their deadline (retry.h). PromoteTask, RollbackTask, DeleteTask and
// ImportTask never are. A stream is never begun again after its first message; WatchJob alone goes
// on, from the event after the last one seen. Thread-safe.
class Client {
 public:
  struct Options {
    // host:port, or any name that gRPC resolves, e.g. dns:///ddpt-headless:50051.
    std::string target = "127.0.0.1:50051";
    // Of a call with all its attempts; of one attachment for WatchJob. Above 0.
    std::chrono::milliseconds deadline{60'000};
    RetryPolicy retry;
    // TLS with the system's roots, or with those of the PEM file `tls_ca`, which implies `tls`.
    bool tls = false;
    std::string tls_ca;
    // PEM files of the client's own certificate and key; both or neither; imply `tls`.
    std::string tls_cert;
    std::string tls_key;
    // The name that the server's certificate must have; "": the host of `target`. Implies `tls`.
    std::string tls_server_name;
    // Sent as "authorization: Bearer <token>", or the first line of the file `token_file`; one of
    // the two. Without TLS only to this machine itself: elsewhere that is refused.
    std::string token;
    std::string token_file;
    // Sent as "traceparent" (core/base/trace_context.h), so that a server's spans are part of the
    // caller's trace; what is none is passed over, and each call begins a trace of its own.
    std::string traceparent;
    // After this long without traffic the server is asked whether it is there; 10 s or more, since
    // servers end connections on which they are asked more often.
    std::chrono::milliseconds keepalive{60'000};
    // Largest message accepted from the server.
    int max_message_bytes = 256 << 20;
  };

  // Reads the files that `options` name; does not wait for a connection. INVALID_ARGUMENT names the
  // option.
  static absl::StatusOr<std::unique_ptr<Client>> Create(Options options);
  ~Client();

  // PromptService.
  absl::StatusOr<v1::SampleResponse> Sample(const v1::SampleRequest& request);
  absl::StatusOr<v1::SampleResponse> Replay(const v1::ReplayRequest& request);
  absl::StatusOr<v1::DescribeResponse> Describe(const v1::DescribeRequest& request);

  // TaskService.
  absl::StatusOr<v1::ListTasksResponse> ListTasks(const v1::ListTasksRequest& request);
  absl::StatusOr<v1::TaskInfo> GetTask(const v1::GetTaskRequest& request);
  // Sends the file at `path` in pieces, after its SHA-256. `header.sha256` may be empty.
  absl::StatusOr<v1::TaskInfo> ImportTask(v1::ImportTaskRequest::Header header,
                                          const std::string& path);
  absl::StatusOr<v1::TaskInfo> PromoteTask(const v1::PromoteTaskRequest& request);
  absl::StatusOr<v1::TaskInfo> RollbackTask(const v1::RollbackTaskRequest& request);
  absl::StatusOr<v1::DeleteTaskResponse> DeleteTask(const v1::DeleteTaskRequest& request);

  // CodeService. `on_message` is called on the calling thread for each message; by returning false
  // it cancels the call, which then ends with CANCELLED.
  absl::Status Generate(const v1::GenerateRequest& request,
                        const std::function<bool(const v1::GenerateResponse&)>& on_message);
  absl::StatusOr<v1::ScoreResponse> Score(const v1::ScoreRequest& request);

  // EvaluationService. As Generate; asked again, an evaluation goes on where it was left.
  absl::Status Evaluate(const v1::EvaluateRequest& request,
                        const std::function<bool(const v1::EvaluateResponse&)>& on_message);

  // Whether the server ("") or a task of it serves: false for NOT_SERVING. NOT_FOUND for what has
  // no health.
  absl::StatusOr<bool> IsServing(const std::string& service);

  // ModelService.
  absl::StatusOr<v1::ModelInfo> GetModel();
  absl::StatusOr<v1::TokenizeResponse> Tokenize(const v1::TokenizeRequest& request);
  absl::StatusOr<v1::DetokenizeResponse> Detokenize(const v1::DetokenizeRequest& request);
  absl::StatusOr<v1::EmbedTokensResponse> EmbedTokens(const v1::EmbedTokensRequest& request);

  // TrainingService.
  absl::StatusOr<v1::TrainingJob> Train(const v1::TrainRequest& request);
  absl::StatusOr<v1::Dataset> UploadDataset(const v1::DataChunk::Header& header,
                                            const std::string& path);
  absl::StatusOr<v1::TrainingJob> GetJob(const v1::GetJobRequest& request);
  absl::StatusOr<v1::ListJobsResponse> ListJobs(const v1::ListJobsRequest& request);
  absl::StatusOr<v1::TrainingJob> CancelJob(const v1::CancelJobRequest& request);
  // Calls `on_event` for each event after `request.after_event`, in order, none twice, until the
  // job ends (OK) or `on_event` returns false (CANCELLED). Attaches again when the stream breaks (a
  // restart of the server) or is quiet for `deadline`; gives up when the server could not be
  // reached for that long.
  absl::Status WatchJob(v1::WatchJobRequest request,
                        const std::function<bool(const v1::JobEvent&)>& on_event);

 private:
  struct Impl;
  explicit Client(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace ddpt
