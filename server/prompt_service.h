#pragma once

#include <memory>
#include <string>

#include "core/runtime/stream_pool.h"
#include "ddpt/v1/prompt.grpc.pb.h"
#include "server/base_model.h"
#include "server/call.h"
#include "server/prompt_maker.h"
#include "server/prompt_resolver.h"

namespace ddpt {

// What a receipt says of prompts. `base_model_digest` may be "".
void FillReceipt(const MadePrompts& made, const std::string& base_model_digest,
                 v1::Receipt* receipt);

// ddpt.v1.PromptService. Thread-safe.
class PromptService final : public v1::PromptService::CallbackService {
 public:
  // The references must outlive the service. `base` may be null: then nothing is described. Models
  // run on `pool`.
  PromptService(Calls& calls, PromptMaker& maker, std::shared_ptr<const BaseModel> base,
                StreamPool& pool);

  grpc::ServerUnaryReactor* Sample(grpc::CallbackServerContext* context,
                                   const v1::SampleRequest* request,
                                   v1::SampleResponse* response) override;
  grpc::ServerUnaryReactor* Replay(grpc::CallbackServerContext* context,
                                   const v1::ReplayRequest* request,
                                   v1::SampleResponse* response) override;
  grpc::ServerUnaryReactor* Describe(grpc::CallbackServerContext* context,
                                     const v1::DescribeRequest* request,
                                     v1::DescribeResponse* response) override;

 private:
  void End(UnaryCall& call, const absl::StatusOr<MadePrompts>& made, bool omit_embedding,
           v1::DataType dtype, v1::SampleResponse* response) const;

  Calls& calls_;
  PromptMaker& maker_;
  const std::shared_ptr<const BaseModel> base_;
  StreamPool& pool_;
  PromptResolver resolver_;  // not used without a base model
  const std::string base_model_digest_;
  const Metrics::Method& sample_;
  const Metrics::Method& replay_;
  const Metrics::Method& describe_;
};

}  // namespace ddpt
