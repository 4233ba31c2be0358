#pragma once

#include <memory>

#include "core/runtime/step_batcher.h"
#include "core/runtime/stream_pool.h"
#include "ddpt/v1/code.grpc.pb.h"
#include "server/base_model.h"
#include "server/call.h"
#include "server/generate_call.h"
#include "server/prompt_resolver.h"

namespace ddpt {

// ddpt.v1.CodeService: code under a prompt, and the probability of given code. Thread-safe.
class CodeService final : public v1::CodeService::CallbackService {
 public:
  struct Options {
    GenerationBatch::Options batch = {};
    size_t stream_buffer_bytes = 256 << 10;
  };

  // The references must outlive the service, which blocks in its destructor until its work has
  // ended. Models run on `pool`.
  CodeService(Calls& calls, std::shared_ptr<const BaseModel> base, PromptMaker& maker,
              StreamPool& pool, Options options);

  // Choices that are generated or wait to be.
  size_t rows() const;
  // Ends what is generated with UNAVAILABLE within a token. Does not block.
  void Stop() { batcher_.Stop(); }

  grpc::ServerWriteReactor<v1::GenerateResponse>* Generate(
      grpc::CallbackServerContext* context, const v1::GenerateRequest* request) override;
  grpc::ServerUnaryReactor* Score(grpc::CallbackServerContext* context,
                                  const v1::ScoreRequest* request,
                                  v1::ScoreResponse* response) override;

 private:
  Calls& calls_;
  const std::shared_ptr<const BaseModel> base_;
  StreamPool& pool_;
  PromptResolver resolver_;
  StepBatcher batcher_;
  const GenerateResources resources_;
  const Metrics::Method& generate_;
  const Metrics::Method& score_;
};

}  // namespace ddpt
