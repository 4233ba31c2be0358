#include "server/prompt_service.h"

#include <utility>

#include "core/base/status.h"
#include "core/diffusion/prompt_id.h"
#include "server/convert.h"
#include "server/describe_work.h"

namespace ddpt {
namespace {

constexpr char kService[] = "ddpt.v1.PromptService";

double Seconds(std::chrono::nanoseconds duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

void FillReceipt(const MadePrompts& made, const std::string& base_model_digest,
                 v1::Receipt* receipt) {
  const Denoiser& denoiser = made.task.engine->denoiser();
  receipt->set_task(made.task.task);
  receipt->set_version(made.task.version);
  receipt->set_base_model_digest(base_model_digest);
  receipt->set_denoiser_digest(denoiser.digest());
  receipt->set_seed(made.seed);
  receipt->set_sampler(ToProto(made.options.sampler));
  receipt->set_steps(static_cast<uint32_t>(made.options.steps));
  receipt->set_eta(made.options.eta);
  receipt->set_guidance_scale(made.options.guidance_scale);
  receipt->set_reading(ToProto(denoiser.spec().reading));
  receipt->set_arithmetic(made.arithmetic_class);
  receipt->set_queue_seconds(Seconds(made.drawn.stats.queue_time));
  receipt->set_compute_seconds(Seconds(made.drawn.stats.run_time));
  receipt->set_batch_width(static_cast<uint32_t>(made.drawn.stats.batch_width));
}

PromptService::PromptService(Calls& calls, PromptMaker& maker,
                             std::shared_ptr<const BaseModel> base, StreamPool& pool)
    : calls_(calls),
      maker_(maker),
      base_(std::move(base)),
      pool_(pool),
      resolver_(base_, maker),
      base_model_digest_(base_ ? base_->model->digest() : ""),
      sample_(calls.metrics().AddMethod(kService, "Sample", "unary", /*queues=*/true)),
      replay_(calls.metrics().AddMethod(kService, "Replay", "unary", /*queues=*/true)),
      describe_(calls.metrics().AddMethod(kService, "Describe", "unary", /*queues=*/false)) {}

grpc::ServerUnaryReactor* PromptService::Sample(grpc::CallbackServerContext* context,
                                                const v1::SampleRequest* request,
                                                v1::SampleResponse* response) {
  auto* call = new UnaryCall(calls_, sample_, *context, *response);
  return call->Run(request->task(), [=, this](UnaryCall& sampling) -> absl::Status {
    DDPT_RETURN_IF_ERROR(ValidateSample(*request, maker_.limits()));
    const bool scores = request->sampling().best_of() > 1;
    DDPT_ASSIGN_OR_RETURN(auto ticket,
                          sampling->Admit(scores ? Calls::Door::kGenerate : Calls::Door::kSample));
    maker_.Sample(*request,
                  {sampling->stop(), [call] { (*call)->Started(); }, sampling->stop().deadline(),
                   std::move(ticket), sampling->trace()},
                  [=, this](const absl::StatusOr<MadePrompts>& made) {
                    End(*call, made, request->omit_embedding(), request->embedding_dtype(),
                        response);
                  });
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* PromptService::Replay(grpc::CallbackServerContext* context,
                                                const v1::ReplayRequest* request,
                                                v1::SampleResponse* response) {
  auto* call = new UnaryCall(calls_, replay_, *context, *response);
  const auto recipe = DecodePromptId(request->prompt_id());
  return call->Run(recipe.ok() ? recipe->task : "", [=, this](UnaryCall& replay) -> absl::Status {
    DDPT_RETURN_IF_ERROR(ValidateReplay(*request));
    DDPT_RETURN_IF_ERROR(recipe.status());
    DDPT_ASSIGN_OR_RETURN(auto ticket, replay->Admit(Calls::Door::kSample));
    maker_.Replay(*request,
                  {replay->stop(), [call] { (*call)->Started(); }, replay->stop().deadline(),
                   std::move(ticket), replay->trace()},
                  [=, this](const absl::StatusOr<MadePrompts>& made) {
                    End(*call, made, request->omit_embedding(), request->embedding_dtype(),
                        response);
                  });
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* PromptService::Describe(grpc::CallbackServerContext* context,
                                                  const v1::DescribeRequest* request,
                                                  v1::DescribeResponse* response) {
  auto* call = new UnaryCall(calls_, describe_, *context, *response);
  return call->Run(request->prompt().task(), [=, this](UnaryCall& describing) -> absl::Status {
    if (!base_)
      return absl::FailedPreconditionError("this server has no base model to describe with");
    return std::make_shared<DescribeWork>(describing, base_, resolver_, maker_, pool_, *request,
                                          *response)
        ->Start();
  });
}

void PromptService::End(UnaryCall& call, const absl::StatusOr<MadePrompts>& made,
                        bool omit_embedding, v1::DataType dtype,
                        v1::SampleResponse* response) const {
  if (!made.ok()) return call.Finish(made.status());
  for (size_t i = 0; i < made->prompt_ids.size(); ++i) {
    v1::Prompt& prompt = *response->add_prompts();
    prompt.set_prompt_id(made->prompt_ids[i]);
    if (!omit_embedding) {
      ToProto(made->drawn.prompts[i], FromProto(dtype), prompt.mutable_embedding());
    }
    if (!made->validation_nll.empty()) prompt.set_validation_nll(made->validation_nll[i]);
    if (made->exact_replay) prompt.set_exact_replay(*made->exact_replay);
  }
  FillReceipt(*made, base_model_digest_, response->mutable_receipt());
  call->fields()["version"] = made->task.version;
  call->fields()["steps"] = made->options.steps;
  call->fields()["count"] = made->prompt_ids.size();
  call.Finish(absl::OkStatus());
}

}  // namespace ddpt
