#include "server/evaluation_service.h"

#include <utility>

#include "core/base/status.h"

namespace ddpt {
namespace {

constexpr size_t kWaiting = 16;

}  // namespace

absl::StatusOr<std::unique_ptr<EvaluationService>> EvaluationService::Create(
    Calls& calls, std::shared_ptr<const BaseModel> base, PromptMaker& maker,
    const Registry& registry, const DatasetStore& datasets, StreamPool& pool,
    const std::string& directory) {
  DDPT_ASSIGN_OR_RETURN(auto thread, StreamPool::Create({.threads = 1, .queue_limit = kWaiting}));
  std::unique_ptr<EvaluationService> service(
      new EvaluationService(calls, base, maker, std::move(thread)));
  service->resources_ = {.base = std::move(base),
                         .resolver = &service->resolver_,
                         .registry = &registry,
                         .datasets = &datasets,
                         .pool = &pool,
                         .thread = service->thread_.get(),
                         .directory = directory,
                         .stopping = &service->stopping_};
  return service;
}

EvaluationService::EvaluationService(Calls& calls, std::shared_ptr<const BaseModel> base,
                                     PromptMaker& maker, std::unique_ptr<StreamPool> thread)
    : calls_(calls),
      resolver_(std::move(base), maker),
      resources_(),
      evaluate_(calls.metrics().AddMethod("ddpt.v1.EvaluationService", "Evaluate", "server_stream",
                                          /*queues=*/true)),
      thread_(std::move(thread)) {}

grpc::ServerWriteReactor<v1::EvaluateResponse>* EvaluationService::Evaluate(
    grpc::CallbackServerContext* context, const v1::EvaluateRequest* request) {
  return EvaluateCall::Start(calls_, evaluate_, *context, resources_, *request);
}

}  // namespace ddpt
