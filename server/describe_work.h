#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "core/runtime/stream_pool.h"
#include "ddpt/v1/prompt.pb.h"
#include "server/base_model.h"
#include "server/call.h"
#include "server/prompt_maker.h"
#include "server/prompt_resolver.h"

namespace ddpt {

// One Describe call on its way: the prompt, other prompts of its task, then the vocabulary. Lives
// until the call has been finished.
class DescribeWork : public std::enable_shared_from_this<DescribeWork> {
 public:
  // `request` and `response` live as long as the call; the others outlive it.
  DescribeWork(UnaryCall& call, std::shared_ptr<const BaseModel> base, PromptResolver& resolver,
               PromptMaker& maker, StreamPool& pool, const v1::DescribeRequest& request,
               v1::DescribeResponse& response);

  // Checks, admits and sets off. An error means that the call is still to be finished by the
  // caller; after OK the work finishes it.
  absl::Status Start();

 private:
  absl::Status CheckWords() const;
  absl::Status DrawCloud(const ResolvedPrompt& prompt);
  void Measure(const std::vector<Tensor>& cloud);
  absl::Status Submit();
  void Run();

  UnaryCall& call_;
  const std::shared_ptr<const BaseModel> base_;
  PromptResolver& resolver_;
  PromptMaker& maker_;
  StreamPool& pool_;
  const v1::DescribeRequest& request_;
  v1::DescribeResponse& response_;
  Admission::Ticket ticket_;
  Span span_;  // of what is done at present
  std::vector<uint32_t> instruction_ids_;
  v1::SampleRequest cloud_;
  std::vector<uint32_t> manual_ids_;      // of a prompt in words
  std::shared_ptr<const Tensor> prompt_;  // [n, w]; of words null until they have been embedded
};

}  // namespace ddpt
