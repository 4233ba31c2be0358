#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "core/registry/dataset_store.h"
#include "core/registry/registry.h"
#include "core/runtime/stream_pool.h"
#include "ddpt/v1/evaluation.grpc.pb.h"
#include "server/base_model.h"
#include "server/call.h"
#include "server/evaluate_call.h"
#include "server/prompt_resolver.h"

namespace ddpt {

// ddpt.v1.EvaluationService: figures of prompts on a data set. Evaluations run one after the other.
// Thread-safe.
class EvaluationService final : public v1::EvaluationService::CallbackService {
 public:
  // The references must outlive the service, which blocks in its destructor until its work has
  // ended. Models run on `pool`; logs are kept in `directory`.
  static absl::StatusOr<std::unique_ptr<EvaluationService>> Create(
      Calls& calls, std::shared_ptr<const BaseModel> base, PromptMaker& maker,
      const Registry& registry, const DatasetStore& datasets, StreamPool& pool,
      const std::string& directory);

  // Ends evaluations with UNAVAILABLE after the piece that runs. Does not block.
  void Stop() { stopping_ = true; }

  grpc::ServerWriteReactor<v1::EvaluateResponse>* Evaluate(
      grpc::CallbackServerContext* context, const v1::EvaluateRequest* request) override;

 private:
  EvaluationService(Calls& calls, std::shared_ptr<const BaseModel> base, PromptMaker& maker,
                    std::unique_ptr<StreamPool> thread);

  Calls& calls_;
  PromptResolver resolver_;
  EvaluateResources resources_;
  const Metrics::Method& evaluate_;
  std::atomic<bool> stopping_{false};
  const std::unique_ptr<StreamPool> thread_;
};

}  // namespace ddpt
