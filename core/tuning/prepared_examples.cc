#include "core/tuning/prepared_examples.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/pause.h"
#include "core/base/status.h"
#include "core/decoding/request.h"
#include "core/model/batch.h"
#include "core/model/decoder_trunk.h"
#include "core/text/tokenizer.h"
#include "core/tuning/trunk_file.h"

namespace ddpt {
namespace {

std::vector<uint32_t> DecoderPrefixIds(const LanguageModel& model, const EncodedExample& example) {
  PromptedRequest request;
  request.instruction_ids = example.instruction_ids;
  return DecoderIds(request, model.geometry());
}

absl::Status CheckLength(const LanguageModel& model, const EncodedExample& example, size_t number,
                         int64_t context_length) {
  const int64_t limit = model.geometry().max_positions;
  const int64_t encoder = context_length + example.instruction_ids.size();
  const int64_t decoder = DecoderPrefixIds(model, example).size() + example.answer_ids.size() - 1;
  if (encoder <= limit && decoder <= limit) return absl::OkStatus();
  return FieldError("data",
                    absl::StrCat("example ", number, " takes ", encoder, " encoder and ", decoder,
                                 " decoder positions; the model has ", limit, " of each"));
}

// Of what an example's constants depend on.
std::string KeyOf(const std::vector<uint32_t>& prefix, const EncodedExample& example,
                  bool conditional) {
  Sha256 hash;
  for (const std::vector<uint32_t>* ids :
       {&prefix, &example.answer_ids, &example.instruction_ids, &example.attribute_ids}) {
    const uint64_t count = ids->size();
    hash.Update({reinterpret_cast<const char*>(&count), sizeof count});
    hash.Update({reinterpret_cast<const char*>(ids->data()), count * sizeof(uint32_t)});
  }
  hash.Update(conditional ? "conditional" : "");
  return hash.Finish();
}

}  // namespace

absl::StatusOr<std::vector<uint32_t>> EncodeAttributes(const LanguageModel& model,
                                                       const Tokenizer& tokenizer,
                                                       const Attributes& attributes) {
  if (attributes.empty()) return std::vector<uint32_t>();
  DDPT_ASSIGN_OR_RETURN(
      std::vector<uint32_t> ids,
      EncodeInstruction(tokenizer, model.geometry().habits, AttributeText(attributes)));
  const auto limit = static_cast<size_t>(model.geometry().max_positions);
  if (ids.size() <= limit) return ids;
  return absl::InvalidArgumentError(
      absl::StrCat("take ", ids.size(), " tokens, above the model's limit of ", limit));
}

absl::StatusOr<std::vector<EncodedExample>> EncodeExamples(const LanguageModel& model,
                                                           const Tokenizer& tokenizer,
                                                           const Dataset& dataset,
                                                           int64_t context_length) {
  std::vector<EncodedExample> encoded;
  encoded.reserve(dataset.examples.size());
  for (const TrainingExample& text : dataset.examples) {
    EncodedExample example;
    DDPT_ASSIGN_OR_RETURN(example.instruction_ids,
                          EncodeInstruction(tokenizer, model.geometry().habits, text.instruction));
    DDPT_ASSIGN_OR_RETURN(example.answer_ids, tokenizer.Encode(text.code));
    example.answer_ids.push_back(model.geometry().end_token);
    auto attributes = EncodeAttributes(model, tokenizer, text.attributes);
    if (!attributes.ok()) {
      return FieldError("data", absl::StrCat("example ", encoded.size() + 1, ": its attributes ",
                                             attributes.status().message()));
    }
    example.attribute_ids = *std::move(attributes);
    DDPT_RETURN_IF_ERROR(CheckLength(model, example, encoded.size() + 1, context_length));
    encoded.push_back(std::move(example));
    PausePoint();
  }
  return encoded;
}

at::Tensor PooledCondition(const LanguageModel& model, const std::vector<uint32_t>& instruction_ids,
                           const std::vector<uint32_t>& attribute_ids) {
  const at::NoGradGuard no_grad;
  const auto pooled = [&](const std::vector<uint32_t>& ids) {
    const EncoderBatch input = WithoutPrompt(model, PadIds({&ids, 1}, model.geometry().device));
    return model.Encode(input.embeddings, input.mask).to(at::kFloat).mean(1).squeeze(0);
  };
  const at::Tensor of_instruction = pooled(instruction_ids);
  return attribute_ids.empty() ? of_instruction : of_instruction + pooled(attribute_ids);
}

struct PreparedExamples::Prepared {
  DecoderTrunk trunk;
  at::Tensor condition;  // [C]
};

PreparedExamples::PreparedExamples(std::shared_ptr<const LanguageModel> model,
                                   std::vector<EncodedExample> examples, bool conditional,
                                   TrunkStorage storage)
    : model_(std::move(model)),
      examples_(std::move(examples)),
      conditional_(conditional),
      storage_(storage),
      kept_(examples_.size()) {}

PreparedExamples::~PreparedExamples() = default;

std::shared_ptr<const PreparedExamples::Prepared> PreparedExamples::Get(uint64_t index) {
  if (kept_[index] != nullptr) return kept_[index];
  const at::NoGradGuard no_grad;
  const EncodedExample& example = examples_[index];
  const std::vector<uint32_t> prefix = DecoderPrefixIds(*model_, example);
  auto prepared = FromFile(example, prefix);
  const bool in_file = prepared != nullptr;
  if (!in_file) prepared = Compute(example, prefix);
  const uint64_t bytes = TrunkBytes(prepared->trunk) + model_->geometry().encoder.width * 4;
  if (bytes <= storage_.memory_bytes - kept_bytes_) {
    kept_bytes_ += bytes;
    kept_[index] = prepared;
  } else if (storage_.file != nullptr && !in_file) {
    std::vector<at::Tensor> parts = prepared->trunk.parts;
    if (conditional_) parts.push_back(prepared->condition);
    storage_.file->Put(KeyOf(prefix, example, conditional_), parts);
  }
  return prepared;
}

std::shared_ptr<const PreparedExamples::Prepared> PreparedExamples::FromFile(
    const EncodedExample& example, const std::vector<uint32_t>& prefix) const {
  if (storage_.file == nullptr) return nullptr;
  auto parts = storage_.file->Get(KeyOf(prefix, example, conditional_));
  if (!parts) return nullptr;
  const at::Device device(model_->geometry().device);
  auto prepared = std::make_shared<Prepared>();
  for (at::Tensor& part : *parts) prepared->trunk.parts.push_back(part.to(device));
  if (conditional_) {
    prepared->condition = std::move(prepared->trunk.parts.back());
    prepared->trunk.parts.pop_back();
  }
  return prepared;
}

std::shared_ptr<const PreparedExamples::Prepared> PreparedExamples::Compute(
    const EncodedExample& example, const std::vector<uint32_t>& prefix) const {
  const TargetBatch targets =
      BuildTargets({&prefix, 1}, {&example.answer_ids, 1}, model_->geometry().device);
  auto prepared = std::make_shared<Prepared>();
  prepared->trunk = model_->Trunk(targets.decoder_ids, targets.positions);
  if (conditional_) {
    prepared->condition = PooledCondition(*model_, example.instruction_ids, example.attribute_ids);
  }
  return prepared;
}

std::vector<int64_t> PreparedExamples::Lengths(const std::vector<uint64_t>& indices) const {
  std::vector<int64_t> lengths;
  for (const uint64_t index : indices) {
    const EncodedExample& example = examples_[index];
    lengths.push_back(example.instruction_ids.size() + example.answer_ids.size());
  }
  return lengths;
}

int64_t PreparedExamples::AnswerTokens(const std::vector<uint64_t>& indices) const {
  int64_t tokens = 0;
  for (const uint64_t index : indices) tokens += examples_[index].answer_ids.size();
  return tokens;
}

at::Tensor PreparedExamples::Conditions(const std::vector<uint64_t>& indices) {
  std::vector<at::Tensor> rows;
  for (const uint64_t index : indices) {
    const EncodedExample& example = examples_[index];
    rows.push_back(conditional_
                       ? Get(index)->condition
                       : PooledCondition(*model_, example.instruction_ids, example.attribute_ids));
  }
  return at::stack(rows);
}

// What is kept, or, under a prefix in the decoder, all of it anew.
DecoderTrunk PreparedExamples::Trunk(const std::vector<uint64_t>& indices,
                                     const Prefixes& prefixes) {
  if (!prefixes.decoder.empty()) {
    std::vector<std::vector<uint32_t>> before, answers;
    for (const uint64_t index : indices) {
      before.push_back(DecoderPrefixIds(*model_, examples_[index]));
      answers.push_back(examples_[index].answer_ids);
    }
    const TargetBatch targets = BuildTargets(before, answers, model_->geometry().device);
    return model_->Trunk(targets.decoder_ids, targets.positions, prefixes);
  }
  std::vector<std::shared_ptr<const Prepared>> prepared;
  std::vector<const DecoderTrunk*> trunks;
  for (const uint64_t index : indices) {
    prepared.push_back(Get(index));
    trunks.push_back(&prepared.back()->trunk);
  }
  return StackTrunks(trunks);
}

PreparedExamples::Losses PreparedExamples::Score(const std::vector<uint64_t>& indices,
                                                 const at::Tensor& prompts) {
  std::vector<std::vector<uint32_t>> instructions, answers;
  for (const uint64_t index : indices) {
    instructions.push_back(examples_[index].instruction_ids);
    answers.push_back(examples_[index].answer_ids);
  }
  const std::string& device = model_->geometry().device;
  const PaddedIds ids = PadIds(instructions, device);
  const EncoderBatch input =
      prompts.defined() ? WithPrompt(*model_, prompts, ids) : WithoutPrompt(*model_, ids);
  const at::Tensor states = model_->Encode(input.embeddings, input.mask, input.prefixes);
  const PaddedIds targets = PadIds(answers, device);
  const at::Tensor logits =
      model_->Head(Trunk(indices, input.prefixes), states, input.mask, input.prefixes);
  return {logits, TargetLogProbs(logits, targets.ids), targets.mask};
}

}  // namespace ddpt
