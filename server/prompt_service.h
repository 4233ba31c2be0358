#pragma once

#include <string>

#include "ddpt/v1/prompt.grpc.pb.h"
#include "server/call.h"
#include "server/prompt_maker.h"

namespace ddpt {

// What a receipt says of prompts. `base_model_digest` may be "".
void FillReceipt(const MadePrompts& made, const std::string& base_model_digest,
                 v1::Receipt* receipt);

// ddpt.v1.PromptService. Thread-safe.
class PromptService final : public v1::PromptService::CallbackService {
 public:
  // The references must outlive the service.
  PromptService(Calls& calls, PromptMaker& maker, std::string base_model_digest);

  grpc::ServerUnaryReactor* Sample(grpc::CallbackServerContext* context,
                                   const v1::SampleRequest* request,
                                   v1::SampleResponse* response) override;
  grpc::ServerUnaryReactor* Replay(grpc::CallbackServerContext* context,
                                   const v1::ReplayRequest* request,
                                   v1::SampleResponse* response) override;

 private:
  void End(UnaryCall& call, const absl::StatusOr<MadePrompts>& made, bool omit_embedding,
           v1::DataType dtype, v1::SampleResponse* response) const;

  Calls& calls_;
  PromptMaker& maker_;
  const std::string base_model_digest_;
  const Metrics::Method& sample_;
  const Metrics::Method& replay_;
};

}  // namespace ddpt
