#include "server/score_work.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/decoding/scorer.h"
#include "server/convert.h"
#include "server/convert_code.h"
#include "server/validate.h"

namespace ddpt {
namespace {

constexpr int kAlternativeLimit = 64;

}  // namespace

ScoreWork::ScoreWork(UnaryCall& call, std::shared_ptr<const BaseModel> base,
                     PromptResolver& resolver, StreamPool& pool, const v1::ScoreRequest& request,
                     v1::ScoreResponse& response)
    : call_(call),
      base_(std::move(base)),
      resolver_(resolver),
      pool_(pool),
      request_(request),
      response_(response) {}

absl::Status ScoreWork::Start() {
  DDPT_RETURN_IF_ERROR(ValidateInstruction(request_));
  DDPT_RETURN_IF_ERROR(FromProto(request_.decoder_prefix()).status());
  if (request_.alternatives_size() > kAlternativeLimit) {
    return FieldError("alternatives", absl::StrCat(request_.alternatives_size(),
                                                   " are above the limit of ", kAlternativeLimit));
  }
  DDPT_ASSIGN_OR_RETURN(ticket_, call_->Admit(Calls::Door::kGenerate));
  DDPT_ASSIGN_OR_RETURN(instruction_ids_, InstructionIds(*base_, InstructionOf(request_)));
  DDPT_RETURN_IF_ERROR(ReadCode());
  ResolveNext();
  return absl::OkStatus();
}

absl::Status ScoreWork::ReadCode() {
  const ModelGeometry& geometry = base_->model->geometry();
  if (request_.code_input_case() == v1::ScoreRequest::CODE_INPUT_NOT_SET) {
    return FieldError("code", "is missing, and so are code_ids");
  }
  if (request_.has_code_ids()) {
    code_ids_.assign(request_.code_ids().ids().begin(), request_.code_ids().ids().end());
  } else if (request_.code().size() > kInstructionLimit) {
    return FieldError("code", absl::StrCat(request_.code().size(), " bytes are above the limit of ",
                                           kInstructionLimit));
  } else {
    DDPT_ASSIGN_OR_RETURN(code_ids_, base_->tokenizer->Encode(request_.code(), {.field = "code"}));
    code_ids_.push_back(geometry.end_token);
  }
  if (code_ids_.empty()) return FieldError("code_ids", "is empty");
  if (code_ids_.size() > static_cast<size_t>(geometry.max_positions)) {
    return FieldError(request_.has_code_ids() ? "code_ids" : "code",
                      absl::StrCat(code_ids_.size(), " tokens are above the model's limit of ",
                                   geometry.max_positions));
  }
  for (const uint32_t id : code_ids_) {
    if (id < geometry.vocabulary_size) continue;
    return FieldError("code_ids", absl::StrCat("id ", id, " is outside the vocabulary of ",
                                               geometry.vocabulary_size));
  }
  return absl::OkStatus();
}

void ScoreWork::ResolveNext() {
  const int index = static_cast<int>(prompted_.size()) - 1;
  const v1::PromptSource& source = index < 0 ? request_.prompt() : request_.alternatives(index);
  const std::string field = index < 0 ? "prompt" : absl::StrCat("alternatives[", index, "]");
  resolver_.Resolve(
      source, field, request_.sampling(), instruction_ids_, call_->stop(), call_->trace(),
      [self = shared_from_this()](absl::StatusOr<ResolvedPrompt> prompt) {
        if (!prompt.ok()) return self->call_.Finish(prompt.status());
        if (self->prompted_.empty()) {
          self->response_.set_prompt_id(prompt->prompt_id);
          if (prompt->receipt) *self->response_.mutable_receipt() = *prompt->receipt;
        }
        self->prompted_.push_back(WithPrompt(*prompt, self->instruction_ids_,
                                             FromProto(self->request_.decoder_prefix()).value()));
        const int resolved = static_cast<int>(self->prompted_.size());
        if (resolved <= self->request_.alternatives_size()) return self->ResolveNext();
        const absl::Status status = self->Submit();
        if (!status.ok()) self->call_.Finish(status);
      });
}

absl::Status ScoreWork::Submit() {
  span_ = call_->trace().Begin("queue");
  return pool_.Submit(
      {.key = "score",
       .stop = call_->stop(),
       .run =
           [self = shared_from_this()](Stream&) {
             self->ticket_.Start();
             self->call_->Started();
             self->span_ = self->call_->trace().Begin("score");
             const absl::Status status = self->Run();
             self->span_.End();
             self->call_.Finish(status);
             return Progress::kDone;
           },
       .on_error = [self = shared_from_this()](
                       const absl::Status& status) { self->call_.Finish(status); }});
}

absl::Status ScoreWork::Run() {
  DDPT_ASSIGN_OR_RETURN(const std::vector<Score> scores,
                        ScoreAnswer(*base_->model, prompted_, code_ids_, call_->stop()));
  const Score& main = scores.front();
  response_.mutable_token_logprobs()->Assign(main.token_logprobs.begin(),
                                             main.token_logprobs.end());
  response_.set_nll(main.nll_mean);
  response_.mutable_code_ids()->mutable_ids()->Assign(code_ids_.begin(), code_ids_.end());
  for (size_t i = 1; i < scores.size(); ++i) {
    v1::ScoreResponse::Result& result = *response_.add_alternatives();
    result.mutable_token_logprobs()->Assign(scores[i].token_logprobs.begin(),
                                            scores[i].token_logprobs.end());
    result.set_nll(scores[i].nll_mean);
  }
  return absl::OkStatus();
}

}  // namespace ddpt
