#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/tensor.h"
#include "core/model/geometry.h"

namespace ddpt {

class Tokenizer;

// What stands in the decoder before the answer, behind the start token where the habits have one.
enum class DecoderPrefix {
  kHabit,  // what the model's family was trained with (geometry().habits)
  kNone,
  kInstruction,
};

// An instruction under a prompt. In the encoder: soft prompt or manual prompt, then instruction. A
// prefix (core/model/prefixes.h) is told from a soft prompt by its width.
struct PromptedRequest {
  std::vector<uint32_t> instruction_ids;
  std::shared_ptr<const Tensor> soft_prompt;  // or a prefix, [n, w], 1 <= n; null for none
  std::vector<uint32_t> manual_ids;           // a prompt in words; empty for none
  bool manual_in_decoder = false;             // the manual prompt precedes the decoder's prefix too
  DecoderPrefix prefix = DecoderPrefix::kHabit;
};

// The ids of an instruction in words, with what the habits put around it. Errors are
// Tokenizer::Encode's for "instruction".
absl::StatusOr<std::vector<uint32_t>> EncodeInstruction(const Tokenizer& tokenizer,
                                                        const Habits& habits,
                                                        std::string_view instruction);

// Ids inside the vocabulary, shapes, something in the encoder, and lengths that leave
// `answer_tokens` positions in the decoder. A FieldError names "instruction", "prompt.embedding",
// "prompt.text" or "decoding.max_new_tokens".
absl::Status ValidateRequest(const PromptedRequest& request, const ModelGeometry& geometry,
                             uint64_t answer_tokens);

// The token ids of the encoder's input, the soft prompt left out.
std::vector<uint32_t> EncoderIds(const PromptedRequest& request);
// Start token, where the model's habits or an empty prefix have it, then the prefix.
std::vector<uint32_t> DecoderIds(const PromptedRequest& request, const ModelGeometry& geometry);
// Soft prompt vectors and tokens in the encoder.
uint64_t InputTokens(const PromptedRequest& request, const ModelGeometry& geometry);

}  // namespace ddpt
