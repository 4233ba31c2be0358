#include "server/code_service.h"

#include <utility>

#include "core/base/status.h"
#include "server/score_work.h"

namespace ddpt {
namespace {

constexpr char kService[] = "ddpt.v1.CodeService";

}  // namespace

CodeService::CodeService(Calls& calls, std::shared_ptr<const BaseModel> base, PromptMaker& maker,
                         StreamPool& pool, Options options)
    : calls_(calls),
      base_(std::move(base)),
      pool_(pool),
      resolver_(base_, maker),
      batcher_(pool, {}),
      resources_{base_, &resolver_, &batcher_, options.batch, options.stream_buffer_bytes},
      generate_(calls.metrics().AddMethod(kService, "Generate", "server_stream",
                                          /*queues=*/true)),
      score_(calls.metrics().AddMethod(kService, "Score", "unary", /*queues=*/true)) {}

size_t CodeService::rows() const { return batcher_.LoadBeside(kGenerateKey).rows; }

grpc::ServerWriteReactor<v1::GenerateResponse>* CodeService::Generate(
    grpc::CallbackServerContext* context, const v1::GenerateRequest* request) {
  return GenerateCall::Start(calls_, generate_, *context, resources_, *request);
}

grpc::ServerUnaryReactor* CodeService::Score(grpc::CallbackServerContext* context,
                                             const v1::ScoreRequest* request,
                                             v1::ScoreResponse* response) {
  auto* call = new UnaryCall(calls_, score_, *context, *response);
  return call->Run(request->prompt().task(), [=, this](UnaryCall& scoring) {
    return std::make_shared<ScoreWork>(scoring, base_, resolver_, pool_, *request, *response)
        ->Start();
  });
}

}  // namespace ddpt
