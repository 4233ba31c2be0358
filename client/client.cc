#include "client/client.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/channel.h"
#include "client/status.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/base/trace_context.h"
#include "ddpt/v1/code.grpc.pb.h"
#include "ddpt/v1/evaluation.grpc.pb.h"
#include "ddpt/v1/model.grpc.pb.h"
#include "ddpt/v1/prompt.grpc.pb.h"
#include "ddpt/v1/task.grpc.pb.h"
#include "ddpt/v1/training.grpc.pb.h"
#include "grpc/health/v1/health.grpc.pb.h"

namespace ddpt {
namespace {

constexpr size_t kChunkBytes = 256 << 10;

enum class Repeat { kAllowed, kNever };
// What ends the attempts of a call that may be repeated, besides its deadline.
enum class Patience { kAttempts, kDeadline };

// Sends what is left of `bytes` as chunks; false when the server has ended the call.
template <typename Request>
bool SendChunks(grpc::ClientWriter<Request>& writer, std::string_view bytes) {
  for (size_t begin = 0; begin < bytes.size(); begin += kChunkBytes) {
    Request request;
    request.set_chunk(std::string(bytes.substr(begin, kChunkBytes)));
    if (!writer.Write(request)) return false;
  }
  return true;
}

}  // namespace

struct Client::Impl {
  Impl(Options client_options, const std::shared_ptr<grpc::Channel>& channel)
      : options(std::move(client_options)),
        prompts(v1::PromptService::NewStub(channel)),
        tasks(v1::TaskService::NewStub(channel)),
        code(v1::CodeService::NewStub(channel)),
        evaluation(v1::EvaluationService::NewStub(channel)),
        model(v1::ModelService::NewStub(channel)),
        training(v1::TrainingService::NewStub(channel)),
        health(grpc::health::v1::Health::NewStub(channel)) {}

  // One attempt of a call, ending at `deadline`.
  absl::Status Attempt(std::chrono::steady_clock::time_point deadline,
                       const std::string& traceparent,
                       const std::function<grpc::Status(grpc::ClientContext&)>& call) const {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         (deadline - std::chrono::steady_clock::now()));
    if (!options.token.empty()) context.AddMetadata("authorization", "Bearer " + options.token);
    context.AddMetadata("traceparent", traceparent);
    return Explain(FromGrpcStatus(call(context)));
  }

  absl::Status Run(const std::function<bool()>& may_repeat,
                   const std::function<grpc::Status(grpc::ClientContext&)>& call,
                   Patience patience = Patience::kAttempts) const {
    const auto deadline = std::chrono::steady_clock::now() + options.deadline;
    RetryPolicy policy = options.retry;
    if (patience == Patience::kDeadline) policy.max_attempts = std::numeric_limits<int>::max();
    const std::string traceparent =
        Traceparent(ParseTraceparent(options.traceparent).value_or(NewTrace()));
    return Retry(policy, deadline, may_repeat,
                 [&] { return Attempt(deadline, traceparent, call); });
  }

  // A call that nobody here has cancelled: a server that stopped has not got to it.
  static grpc::Status OfServer(const grpc::Status& ended) {
    if (ended.error_code() != grpc::StatusCode::CANCELLED) return ended;
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, ended.error_message());
  }

  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Unary(Stub& stub,
                                 grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                              Response*),
                                 const Request& request, Repeat repeat = Repeat::kAllowed,
                                 Patience patience = Patience::kAttempts) const {
    Response response;
    const absl::Status status = Run([&] { return repeat == Repeat::kAllowed; },
                                    [&](grpc::ClientContext& context) {
                                      return OfServer((stub.*method)(&context, request, &response));
                                    },
                                    patience);
    if (!status.ok()) return status;
    return response;
  }

  // Sends `first`, then `bytes` in chunks.
  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Upload(
      Stub& stub,
      std::unique_ptr<grpc::ClientWriter<Request>> (Stub::*method)(grpc::ClientContext*, Response*),
      const Request& first, std::string_view bytes, Repeat repeat) const {
    Response response;
    const absl::Status status = Run([&] { return repeat == Repeat::kAllowed; },
                                    [&](grpc::ClientContext& context) {
                                      auto writer = (stub.*method)(&context, &response);
                                      if (writer->Write(first) && SendChunks(*writer, bytes)) {
                                        writer->WritesDone();
                                      }
                                      return OfServer(writer->Finish());
                                    });
    if (!status.ok()) return status;
    return response;
  }

  // Hands the messages of a stream to `on_message`; CANCELLED once that returns false.
  template <typename Message>
  static grpc::Status Drain(grpc::ClientContext& context, grpc::ClientReader<Message>& reader,
                            const std::function<bool(const Message&)>& on_message) {
    Message message;
    while (reader.Read(&message)) {
      if (on_message(message)) continue;
      context.TryCancel();
      while (reader.Read(&message)) {
      }
      reader.Finish();
      return grpc::Status(grpc::StatusCode::CANCELLED, "stopped by the caller");
    }
    return OfServer(reader.Finish());
  }

  // A stream that is not begun again after its first message.
  template <typename Stub, typename Request, typename Message>
  absl::Status Stream(Stub& stub,
                      std::unique_ptr<grpc::ClientReader<Message>> (Stub::*method)(
                          grpc::ClientContext*, const Request&),
                      const Request& request,
                      const std::function<bool(const Message&)>& on_message) const {
    bool begun = false;
    const std::function<bool(const Message&)> pass = [&](const Message& message) {
      begun = true;
      return on_message(message);
    };
    return Run([&] { return !begun; },
               [&](grpc::ClientContext& context) {
                 auto reader = (stub.*method)(&context, request);
                 return Drain(context, *reader, pass);
               });
  }

  absl::Status Explain(const absl::Status& status) const {
    if (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status)) {
      return Annotate(status, options.target);
    }
    if (absl::IsUnimplemented(status)) {
      return Annotate(status,
                      absl::StrCat("the server at ", options.target, " does not offer this call"));
    }
    return status;
  }

  const Options options;
  const std::unique_ptr<v1::PromptService::Stub> prompts;
  const std::unique_ptr<v1::TaskService::Stub> tasks;
  const std::unique_ptr<v1::CodeService::Stub> code;
  const std::unique_ptr<v1::EvaluationService::Stub> evaluation;
  const std::unique_ptr<v1::ModelService::Stub> model;
  const std::unique_ptr<v1::TrainingService::Stub> training;
  const std::unique_ptr<grpc::health::v1::Health::Stub> health;
};

absl::StatusOr<std::unique_ptr<Client>> Client::Create(Options options) {
  if (options.target.empty()) return FieldError("server", "is empty");
  if (options.deadline.count() <= 0) {
    return FieldError("timeout", absl::StrCat(options.deadline.count(), " ms is not above 0"));
  }
  if (options.retry.max_attempts < 1) {
    return FieldError("attempts", absl::StrCat(options.retry.max_attempts, " is below 1"));
  }
  DDPT_ASSIGN_OR_RETURN(std::shared_ptr<grpc::Channel> channel, CreateChannel(options));
  DDPT_ASSIGN_OR_RETURN(options.token, TokenFor(options));
  return std::unique_ptr<Client>(new Client(std::make_unique<Impl>(std::move(options), channel)));
}

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::~Client() = default;

absl::StatusOr<v1::SampleResponse> Client::Sample(const v1::SampleRequest& request) {
  return impl_->Unary(*impl_->prompts, &v1::PromptService::Stub::Sample, request);
}

absl::StatusOr<v1::SampleResponse> Client::Replay(const v1::ReplayRequest& request) {
  return impl_->Unary(*impl_->prompts, &v1::PromptService::Stub::Replay, request);
}

absl::StatusOr<v1::DescribeResponse> Client::Describe(const v1::DescribeRequest& request) {
  return impl_->Unary(*impl_->prompts, &v1::PromptService::Stub::Describe, request);
}

absl::StatusOr<v1::ListTasksResponse> Client::ListTasks(const v1::ListTasksRequest& request) {
  return impl_->Unary(*impl_->tasks, &v1::TaskService::Stub::ListTasks, request);
}

absl::StatusOr<v1::TaskInfo> Client::GetTask(const v1::GetTaskRequest& request) {
  return impl_->Unary(*impl_->tasks, &v1::TaskService::Stub::GetTask, request);
}

absl::StatusOr<v1::TaskInfo> Client::ImportTask(v1::ImportTaskRequest::Header header,
                                                const std::string& path) {
  DDPT_ASSIGN_OR_RETURN(auto file, MappedFile::Open(path));
  if (header.sha256().empty()) header.set_sha256(Sha256Hex(file->bytes()));
  v1::ImportTaskRequest first;
  *first.mutable_header() = std::move(header);
  return impl_->Upload(*impl_->tasks, &v1::TaskService::Stub::ImportTask, first, file->bytes(),
                       Repeat::kNever);
}

absl::StatusOr<v1::TaskInfo> Client::PromoteTask(const v1::PromoteTaskRequest& request) {
  return impl_->Unary(*impl_->tasks, &v1::TaskService::Stub::PromoteTask, request, Repeat::kNever);
}

absl::StatusOr<v1::TaskInfo> Client::RollbackTask(const v1::RollbackTaskRequest& request) {
  return impl_->Unary(*impl_->tasks, &v1::TaskService::Stub::RollbackTask, request, Repeat::kNever);
}

absl::StatusOr<v1::DeleteTaskResponse> Client::DeleteTask(const v1::DeleteTaskRequest& request) {
  return impl_->Unary(*impl_->tasks, &v1::TaskService::Stub::DeleteTask, request, Repeat::kNever);
}

absl::Status Client::Generate(const v1::GenerateRequest& request,
                              const std::function<bool(const v1::GenerateResponse&)>& on_message) {
  return impl_->Stream(*impl_->code, &v1::CodeService::Stub::Generate, request, on_message);
}

absl::Status Client::Evaluate(const v1::EvaluateRequest& request,
                              const std::function<bool(const v1::EvaluateResponse&)>& on_message) {
  return impl_->Stream(*impl_->evaluation, &v1::EvaluationService::Stub::Evaluate, request,
                       on_message);
}

absl::StatusOr<v1::ScoreResponse> Client::Score(const v1::ScoreRequest& request) {
  return impl_->Unary(*impl_->code, &v1::CodeService::Stub::Score, request);
}

absl::StatusOr<bool> Client::IsServing(const std::string& service) {
  namespace health = grpc::health::v1;
  health::HealthCheckRequest request;
  request.set_service(service);
  DDPT_ASSIGN_OR_RETURN(const health::HealthCheckResponse response,
                        impl_->Unary(*impl_->health, &health::Health::Stub::Check, request));
  return response.status() == health::HealthCheckResponse::SERVING;
}

absl::StatusOr<v1::ModelInfo> Client::GetModel() {
  return impl_->Unary(*impl_->model, &v1::ModelService::Stub::GetModel, v1::GetModelRequest());
}

absl::StatusOr<v1::TokenizeResponse> Client::Tokenize(const v1::TokenizeRequest& request) {
  return impl_->Unary(*impl_->model, &v1::ModelService::Stub::Tokenize, request);
}

absl::StatusOr<v1::DetokenizeResponse> Client::Detokenize(const v1::DetokenizeRequest& request) {
  return impl_->Unary(*impl_->model, &v1::ModelService::Stub::Detokenize, request);
}

absl::StatusOr<v1::EmbedTokensResponse> Client::EmbedTokens(const v1::EmbedTokensRequest& request) {
  return impl_->Unary(*impl_->model, &v1::ModelService::Stub::EmbedTokens, request);
}

absl::StatusOr<v1::TrainingJob> Client::Train(const v1::TrainRequest& request) {
  return impl_->Unary(*impl_->training, &v1::TrainingService::Stub::Train, request);
}

absl::StatusOr<v1::Dataset> Client::UploadDataset(const v1::DataChunk::Header& header,
                                                  const std::string& path) {
  DDPT_ASSIGN_OR_RETURN(auto file, MappedFile::Open(path));
  v1::DataChunk first;
  *first.mutable_header() = header;
  return impl_->Upload(*impl_->training, &v1::TrainingService::Stub::UploadDataset, first,
                       file->bytes(), Repeat::kAllowed);
}

absl::StatusOr<v1::TrainingJob> Client::GetJob(const v1::GetJobRequest& request) {
  return impl_->Unary(*impl_->training, &v1::TrainingService::Stub::GetJob, request);
}

absl::StatusOr<v1::ListJobsResponse> Client::ListJobs(const v1::ListJobsRequest& request) {
  return impl_->Unary(*impl_->training, &v1::TrainingService::Stub::ListJobs, request);
}

absl::StatusOr<v1::TrainingJob> Client::CancelJob(const v1::CancelJobRequest& request) {
  return impl_->Unary(*impl_->training, &v1::TrainingService::Stub::CancelJob, request);
}

absl::Status Client::WatchJob(v1::WatchJobRequest request,
                              const std::function<bool(const v1::JobEvent&)>& on_event) {
  bool progress = false, reached = false;
  const std::function<bool(const v1::JobEvent&)> pass = [&](const auto& event) {
    reached = true;
    if (event.event() <= request.after_event()) return true;
    request.set_after_event(event.event());
    progress = true;
    return on_event(event);
  };
  v1::GetJobRequest probe;
  probe.set_job_id(request.job_id());
  for (;;) {
    progress = false;
    const absl::Status status = impl_->Run([&] { return !progress; },
                                           [&](grpc::ClientContext& context) {
                                             auto reader =
                                                 impl_->training->WatchJob(&context, request);
                                             return Impl::Drain(context, *reader, pass);
                                           },
                                           Patience::kDeadline);
    // A quiet stream's deadline passes, too; and where it broke late, little of it was left.
    const bool away = absl::IsUnavailable(status) && reached;
    if (!away && !absl::IsDeadlineExceeded(status)) return status;
    if (progress) continue;
    DDPT_RETURN_IF_ERROR(impl_
                             ->Unary(*impl_->training, &v1::TrainingService::Stub::GetJob, probe,
                                     Repeat::kAllowed, Patience::kDeadline)
                             .status());
    reached = true;
  }
}

}  // namespace ddpt
