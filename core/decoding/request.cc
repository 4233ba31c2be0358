#include "core/decoding/request.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/text/tokenizer.h"

namespace ddpt {
namespace {

bool InstructionInDecoder(const PromptedRequest& request, const ModelGeometry& geometry) {
  if (request.prefix == DecoderPrefix::kHabit) return geometry.habits.instruction_in_decoder;
  return request.prefix == DecoderPrefix::kInstruction;
}

absl::Status CheckIds(const char* field, const std::vector<uint32_t>& ids, int64_t vocabulary) {
  for (const uint32_t id : ids) {
    if (id < vocabulary) continue;
    return FieldError(
        field, absl::StrCat("token id ", id, " is outside the vocabulary, 0..", vocabulary - 1));
  }
  return absl::OkStatus();
}

absl::Status CheckPrompt(const Tensor& prompt, const ModelGeometry& geometry) {
  if (prompt.shape.size() != 2 || prompt.shape[0] < 1 ||
      !TakesPromptWidth(geometry, prompt.shape[1]) || prompt.shape[0] > geometry.max_positions ||
      prompt.data.size() != static_cast<size_t>(prompt.shape[0] * prompt.shape[1])) {
    return FieldError("prompt.embedding", absl::StrCat("shape ", ShapeString(prompt.shape),
                                                       " is not ", PromptWidths(geometry),
                                                       ", with n in 1..", geometry.max_positions));
  }
  for (const float value : prompt.data) {
    if (!std::isfinite(value)) return FieldError("prompt.embedding", "has values not finite");
  }
  return absl::OkStatus();
}

absl::Status CheckLengths(const PromptedRequest& request, const ModelGeometry& geometry,
                          uint64_t answer_tokens) {
  const auto limit = static_cast<uint64_t>(geometry.max_positions);
  const uint64_t inputs = InputTokens(request, geometry);
  if (inputs == 0) return FieldError("instruction", "is empty, and so is the prompt");
  if (inputs > limit) {
    return FieldError("instruction", absl::StrCat(inputs, " tokens with the prompt exceed the ",
                                                  limit, " positions of the encoder"));
  }
  const uint64_t prefix = DecoderIds(request, geometry).size();
  if (prefix >= limit) {
    return FieldError("instruction",
                      absl::StrCat(prefix, " tokens in the decoder leave none of its ", limit,
                                   " positions for an answer"));
  }
  if (answer_tokens <= limit - prefix) return absl::OkStatus();
  return FieldError("decoding.max_new_tokens",
                    absl::StrCat(answer_tokens, " exceeds the ", limit - prefix,
                                 " positions that the instruction leaves of ", limit));
}

}  // namespace

absl::StatusOr<std::vector<uint32_t>> EncodeInstruction(const Tokenizer& tokenizer,
                                                        const Habits& habits,
                                                        std::string_view instruction) {
  return tokenizer.Encode(
      absl::StrCat(Piece(habits.before), Piece(instruction), Piece(habits.after)),
      {.field = "instruction", .add_special = habits.special_tokens});
}

absl::Status ValidateRequest(const PromptedRequest& request, const ModelGeometry& geometry,
                             uint64_t answer_tokens) {
  DDPT_RETURN_IF_ERROR(CheckIds("instruction", request.instruction_ids, geometry.vocabulary_size));
  DDPT_RETURN_IF_ERROR(CheckIds("prompt.text", request.manual_ids, geometry.vocabulary_size));
  if (request.soft_prompt != nullptr) {
    DDPT_RETURN_IF_ERROR(CheckPrompt(*request.soft_prompt, geometry));
  }
  return CheckLengths(request, geometry, answer_tokens);
}

std::vector<uint32_t> EncoderIds(const PromptedRequest& request) {
  std::vector<uint32_t> ids = request.manual_ids;
  ids.insert(ids.end(), request.instruction_ids.begin(), request.instruction_ids.end());
  return ids;
}

std::vector<uint32_t> DecoderIds(const PromptedRequest& request, const ModelGeometry& geometry) {
  std::vector<uint32_t> ids;
  const auto append = [&ids](const std::vector<uint32_t>& more) {
    ids.insert(ids.end(), more.begin(), more.end());
  };
  if (request.manual_in_decoder) append(request.manual_ids);
  if (InstructionInDecoder(request, geometry)) append(request.instruction_ids);
  if (geometry.habits.start_token || ids.empty()) ids.insert(ids.begin(), geometry.start_token);
  return ids;
}

uint64_t InputTokens(const PromptedRequest& request, const ModelGeometry& geometry) {
  uint64_t vectors = 0;
  if (request.soft_prompt != nullptr) {
    const std::vector<int64_t>& shape = request.soft_prompt->shape;
    vectors = static_cast<uint64_t>(EncoderPositions(geometry, shape[0], shape[1]));
  }
  return vectors + request.manual_ids.size() + request.instruction_ids.size();
}

}  // namespace ddpt
