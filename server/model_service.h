#pragma once

#include <memory>

#include "ddpt/v1/model.grpc.pb.h"
#include "server/base_model.h"
#include "server/call.h"

namespace ddpt {

// ddpt.v1.ModelService: what the base model is, and its tokenizer. Thread-safe.
class ModelService final : public v1::ModelService::CallbackService {
 public:
  // `calls` and `pool`, of models, must outlive the service.
  ModelService(Calls& calls, std::shared_ptr<const BaseModel> base, StreamPool& pool);

  grpc::ServerUnaryReactor* GetModel(grpc::CallbackServerContext* context,
                                     const v1::GetModelRequest* request,
                                     v1::ModelInfo* response) override;
  grpc::ServerUnaryReactor* Tokenize(grpc::CallbackServerContext* context,
                                     const v1::TokenizeRequest* request,
                                     v1::TokenizeResponse* response) override;
  grpc::ServerUnaryReactor* Detokenize(grpc::CallbackServerContext* context,
                                       const v1::DetokenizeRequest* request,
                                       v1::DetokenizeResponse* response) override;
  grpc::ServerUnaryReactor* EmbedTokens(grpc::CallbackServerContext* context,
                                        const v1::EmbedTokensRequest* request,
                                        v1::EmbedTokensResponse* response) override;

 private:
  Calls& calls_;
  const std::shared_ptr<const BaseModel> base_;
  StreamPool& pool_;
  const Metrics::Method& get_;
  const Metrics::Method& tokenize_;
  const Metrics::Method& detokenize_;
  const Metrics::Method& embed_;
};

}  // namespace ddpt
