#include "server/describe_work.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/model/nearest_tokens.h"
#include "server/convert.h"
#include "server/validate.h"

namespace ddpt {
namespace {

constexpr uint32_t kNeighbours = 5, kNeighbourLimit = 100, kCloud = 16;
constexpr size_t kWordsLimit = 256;

// The root of the mean squared difference of two tensors of one shape.
double Rms(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(sum / static_cast<double>(a.size()));
}

std::vector<float> Mean(const std::vector<Tensor>& tensors) {
  std::vector<float> mean(tensors.front().data.size());
  for (const Tensor& tensor : tensors) {
    for (size_t i = 0; i < mean.size(); ++i) {
      mean[i] += tensor.data[i] / static_cast<float>(tensors.size());
    }
  }
  return mean;
}

}  // namespace

DescribeWork::DescribeWork(UnaryCall& call, std::shared_ptr<const BaseModel> base,
                           PromptResolver& resolver, PromptMaker& maker, StreamPool& pool,
                           const v1::DescribeRequest& request, v1::DescribeResponse& response)
    : call_(call),
      base_(std::move(base)),
      resolver_(resolver),
      maker_(maker),
      pool_(pool),
      request_(request),
      response_(response) {}

absl::Status DescribeWork::Start() {
  if (request_.prompt().source_case() == v1::PromptSource::SOURCE_NOT_SET) {
    return FieldError("prompt", "is missing");
  }
  const uint32_t neighbours = request_.has_neighbours() ? request_.neighbours() : kNeighbours;
  if (neighbours < 1 || neighbours > kNeighbourLimit) {
    return FieldError("neighbours", absl::StrCat(neighbours, " is outside 1..", kNeighbourLimit));
  }
  DDPT_RETURN_IF_ERROR(ValidateInstruction(request_));
  DDPT_ASSIGN_OR_RETURN(ticket_, call_->Admit(Calls::Door::kGenerate));
  if (request_.instruction_input_case() != v1::DescribeRequest::INSTRUCTION_INPUT_NOT_SET) {
    DDPT_ASSIGN_OR_RETURN(instruction_ids_, InstructionIds(*base_, InstructionOf(request_)));
  }
  resolver_.Resolve(request_.prompt(), "prompt", request_.sampling(), instruction_ids_,
                    call_->stop(), call_->trace(),
                    [self = shared_from_this()](absl::StatusOr<ResolvedPrompt> prompt) {
                      absl::Status status = prompt.status();
                      if (status.ok()) status = self->DrawCloud(*prompt);
                      if (!status.ok()) self->call_.Finish(status);
                    });
  return absl::OkStatus();
}

absl::Status DescribeWork::DrawCloud(const ResolvedPrompt& prompt) {
  response_.set_prompt_id(prompt.prompt_id);
  prompt_ = prompt.soft;
  manual_ids_ = prompt.manual_ids;
  if (!prompt_) DDPT_RETURN_IF_ERROR(CheckWords());
  if (prompt_ && PrefixOfWidth(base_->model->geometry(), prompt_->shape[1])) {
    return FieldError(
        "prompt", absl::StrCat("is a prefix, ", ShapeString(prompt_->shape),
                               ": keys and values of attention layers, which no tokens are near"));
  }
  if (!prompt.receipt) return Submit();
  const v1::Receipt& receipt = *prompt.receipt;
  cloud_.set_task(receipt.task());
  cloud_.set_version(receipt.version());
  cloud_.set_count(std::min<uint32_t>(kCloud, maker_.limits().max_count));
  cloud_.set_omit_embedding(true);
  v1::SamplingOptions& sampling = *cloud_.mutable_sampling();
  sampling.set_sampler(receipt.sampler());
  sampling.set_steps(receipt.steps());
  sampling.set_eta(receipt.eta());
  sampling.set_guidance_scale(receipt.guidance_scale());
  sampling.set_seed(0);
  if (!instruction_ids_.empty()) {
    cloud_.mutable_instruction_ids()->mutable_ids()->Assign(instruction_ids_.begin(),
                                                            instruction_ids_.end());
  }
  maker_.Sample(cloud_, {call_->stop(), nullptr, call_->stop().deadline(), {}, call_->trace()},
                [self = shared_from_this()](const absl::StatusOr<MadePrompts>& made) {
                  if (!made.ok()) return self->call_.Finish(made.status());
                  self->Measure(made->drawn.prompts);
                  const absl::Status status = self->Submit();
                  if (!status.ok()) self->call_.Finish(status);
                });
  return absl::OkStatus();
}

absl::Status DescribeWork::CheckWords() const {
  if (manual_ids_.empty() || manual_ids_.size() > kWordsLimit) {
    return FieldError("prompt.text",
                      absl::StrCat(manual_ids_.size(), " tokens are outside 1..", kWordsLimit));
  }
  const int64_t vocabulary = base_->model->geometry().vocabulary_size;
  for (const uint32_t id : manual_ids_) {
    if (id < vocabulary) continue;
    return FieldError("prompt.text",
                      absl::StrCat("token id ", id, " is outside the vocabulary of ", vocabulary));
  }
  return absl::OkStatus();
}

void DescribeWork::Measure(const std::vector<Tensor>& cloud) {
  const std::vector<float> mean = Mean(cloud);
  double sum = 0;
  for (const Tensor& other : cloud) sum += std::pow(Rms(other.data, mean), 2);
  response_.set_distance_to_task(static_cast<float>(Rms(prompt_->data, mean)));
  response_.set_task_spread(static_cast<float>(std::sqrt(sum / static_cast<double>(cloud.size()))));
}

absl::Status DescribeWork::Submit() {
  span_ = call_->trace().Begin("queue");
  return pool_.Submit(
      {.key = "describe",
       .stop = call_->stop(),
       .run =
           [self = shared_from_this()](Stream&) {
             self->ticket_.Start();
             self->call_->Started();
             self->span_ = self->call_->trace().Begin("describe");
             self->Run();
             self->span_.End();
             self->call_.Finish(absl::OkStatus());
             return Progress::kDone;
           },
       .on_error = [self = shared_from_this()](
                       const absl::Status& status) { self->call_.Finish(status); }});
}

void DescribeWork::Run() {
  if (!prompt_) {
    prompt_ = std::make_shared<const Tensor>(TokenVectors(*base_->model, manual_ids_));
  }
  const size_t count = request_.has_neighbours() ? request_.neighbours() : kNeighbours;
  const auto nearest = NearestTokens(
      *base_->model, *prompt_, [this](uint32_t id) { return base_->tokenizer->HasToken(id); },
      count);
  const auto width = static_cast<size_t>(prompt_->shape[1]);
  for (size_t row = 0; row < nearest.size(); ++row) {
    v1::DescribeResponse::ContextVector& vector = *response_.add_vectors();
    double sum = 0;
    for (size_t i = 0; i < width; ++i) sum += std::pow(prompt_->data[row * width + i], 2);
    vector.set_norm(static_cast<float>(std::sqrt(sum)));
    for (const NearToken& near : nearest[row]) {
      v1::DescribeResponse::Neighbour& neighbour = *vector.add_neighbours();
      neighbour.set_token_id(near.id);
      neighbour.set_token(base_->tokenizer->Decode({&near.id, 1}, /*skip_special=*/false));
      neighbour.set_cosine(near.cosine);
    }
  }
}

}  // namespace ddpt
