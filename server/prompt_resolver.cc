#include "server/prompt_resolver.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"
#include "server/convert.h"
#include "server/prompt_service.h"

namespace ddpt {
namespace {

constexpr uint32_t kMaxContext = 256;

// A FieldError of a part as one of the whole: on "task" of the source at "prompt", "prompt.task".
absl::Status At(const std::string& path, const absl::Status& status) {
  const std::string field = FieldOf(status);
  if (field != "task" && field != "prompt_id") return status;
  const std::string problem(absl::StripPrefix(status.message(), field + ": "));
  return FieldError(absl::StrCat(path, ".", field), problem);
}

// Half of the time left is for what comes after the prompt.
TimePoint FinishBy(const StopToken& stop, const v1::SamplingOptions& sampling) {
  const TimePoint deadline = stop.deadline(), now = std::chrono::steady_clock::now();
  if (!sampling.anytime() || deadline == TimePoint::max()) return deadline;
  return now + (deadline - now) / 2;
}

void SetInstruction(const std::vector<uint32_t>& ids, v1::TokenIds* out) {
  out->mutable_ids()->Assign(ids.begin(), ids.end());
}

}  // namespace

PromptResolver::PromptResolver(std::shared_ptr<const BaseModel> base, PromptMaker& maker)
    : base_(std::move(base)), maker_(maker) {}

absl::StatusOr<ResolvedPrompt> PromptResolver::Decode(const v1::Tensor& embedding,
                                                      const std::string& field) const {
  DDPT_RETURN_IF_ERROR(ValidateDataType(field + ".embedding.dtype", embedding.dtype()));
  const ModelGeometry& geometry = base_->model->geometry();
  const uint32_t rows = embedding.shape_size() > 0 ? embedding.shape(0) : 0;
  if (embedding.shape_size() != 2 || rows < 1 || rows > kMaxContext ||
      !TakesPromptWidth(geometry, embedding.shape(1))) {
    return FieldError(
        field + ".embedding",
        absl::StrCat("its shape must be ", PromptWidths(geometry), ", with n in 1..", kMaxContext));
  }
  const int64_t expected[] = {rows, embedding.shape(1)};
  DDPT_ASSIGN_OR_RETURN(Tensor tensor, FromProto(embedding, field + ".embedding", expected));
  ResolvedPrompt prompt;
  prompt.soft = std::make_shared<const Tensor>(std::move(tensor));
  return prompt;
}

absl::StatusOr<ResolvedPrompt> PromptResolver::FromMade(MadePrompts made) const {
  const DenoiserSpec& spec = made.task.engine->spec();
  const LanguageModel& model = *base_->model;
  if (!TakesPromptWidth(model.geometry(), spec.width)) {
    return absl::FailedPreconditionError(
        absl::StrCat("the prompts of task \"", made.task.task, "\" are ", spec.width,
                     " wide, but those of ", base_->name, " are ", PromptWidths(model.geometry())));
  }
  if (!spec.base_model_digest.empty() && spec.base_model_digest != model.digest()) {
    return absl::FailedPreconditionError(
        absl::StrCat("task \"", made.task.task, "\" was trained through the model ",
                     spec.base_model_digest, ", but this is ", model.digest()));
  }
  ResolvedPrompt prompt;
  prompt.soft = std::make_shared<const Tensor>(std::move(made.drawn.prompts.front()));
  prompt.prompt_id = made.prompt_ids.front();
  prompt.task = made.task.task;
  prompt.conditional = spec.condition_width > 0;
  FillReceipt(made, model.digest(), &prompt.receipt.emplace());
  return prompt;
}

void PromptResolver::Resolve(const v1::PromptSource& source, const std::string& field,
                             const v1::SamplingOptions& sampling,
                             const std::vector<uint32_t>& instruction_ids, const StopToken& stop,
                             const Trace& trace, const Done& done) {
  const auto finish = [this, field, done](absl::StatusOr<MadePrompts> made) {
    if (!made.ok()) return done(At(field, made.status()));
    done(FromMade(*std::move(made)));
  };
  const bool samples = source.has_task() || source.has_prompt_id();
  if (!source.attributes().empty() && !samples) {
    return done(FieldError(field + ".attributes", "goes with task or prompt_id only"));
  }
  switch (source.source_case()) {
    case v1::PromptSource::kEmbedding:
      return done(Decode(source.embedding(), field));
    case v1::PromptSource::kText: {
      auto ids = base_->tokenizer->Encode(source.text(), {.field = field + ".text"});
      if (!ids.ok()) return done(ids.status());
      ResolvedPrompt prompt;
      prompt.manual_ids = *std::move(ids);
      prompt.manual_in_decoder = source.manual_in_decoder();
      return done(std::move(prompt));
    }
    case v1::PromptSource::kPromptId: {
      auto request = std::make_shared<v1::ReplayRequest>();
      request->set_prompt_id(source.prompt_id());
      request->set_omit_embedding(true);
      SetInstruction(instruction_ids, request->mutable_instruction_ids());
      *request->mutable_attributes() = source.attributes();
      return maker_.Replay(*request, {stop, nullptr, stop.deadline(), {}, trace},
                           [request, finish](auto made) { finish(std::move(made)); });
    }
    case v1::PromptSource::kTask: {
      auto request = std::make_shared<v1::SampleRequest>();
      request->set_task(source.task());
      *request->mutable_sampling() = sampling;
      request->set_omit_embedding(true);
      SetInstruction(instruction_ids, request->mutable_instruction_ids());
      *request->mutable_attributes() = source.attributes();
      const absl::Status status = ValidateSample(*request, maker_.limits());
      if (!status.ok()) return done(At(field, status));
      return maker_.Sample(*request, {stop, nullptr, FinishBy(stop, sampling), {}, trace},
                           [request, finish](auto made) { finish(std::move(made)); });
    }
    case v1::PromptSource::SOURCE_NOT_SET:
      return done(ResolvedPrompt());
  }
}

}  // namespace ddpt
