#pragma once

#include <memory>
#include <vector>

#include "core/decoding/request.h"
#include "core/runtime/stream_pool.h"
#include "ddpt/v1/code.pb.h"
#include "server/base_model.h"
#include "server/call.h"
#include "server/prompt_resolver.h"

namespace ddpt {

// One Score call on its way: its prompts one after another, then the model. Lives until the call
// has been finished.
class ScoreWork : public std::enable_shared_from_this<ScoreWork> {
 public:
  // `request` and `response` live as long as the call; the others outlive it.
  ScoreWork(UnaryCall& call, std::shared_ptr<const BaseModel> base, PromptResolver& resolver,
            StreamPool& pool, const v1::ScoreRequest& request, v1::ScoreResponse& response);

  // Checks, admits and sets off. An error means that the call is still to be finished by the
  // caller; after OK the work finishes it.
  absl::Status Start();

 private:
  absl::Status ReadCode();
  void ResolveNext();
  absl::Status Submit();
  absl::Status Run();

  UnaryCall& call_;
  const std::shared_ptr<const BaseModel> base_;
  PromptResolver& resolver_;
  StreamPool& pool_;
  const v1::ScoreRequest& request_;
  v1::ScoreResponse& response_;
  Admission::Ticket ticket_;
  Span span_;  // of what is done at present
  std::vector<uint32_t> instruction_ids_;
  std::vector<uint32_t> code_ids_;
  std::vector<PromptedRequest> prompted_;  // the main prompt's, then the alternatives'
};

}  // namespace ddpt
