#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/base/tensor.h"
#include "core/model/language_model.h"
#include "core/model/prefixes.h"

namespace ddpt {

// Sequences of token ids as one batch, padded on the right.
struct PaddedIds {
  at::Tensor ids;   // [B, S] int64; 0 in the padding
  at::Tensor mask;  // [B, S] bool, true where there is a token
};

// At least one row; S is the longest, at least 1.
PaddedIds PadIds(std::span<const std::vector<uint32_t>> rows, const std::string& device);

// What goes into an encoder, and the prefixes that go with it.
struct EncoderBatch {
  at::Tensor embeddings;  // [B, S, w] compute dtype
  at::Tensor mask;        // [B, S] bool
  Prefixes prefixes = {};
};

// `prompt` [n, w] or [1, n, w] (for every row) or [B, n, w] in front of the embedded ids
// [B, n + S, w], or, where w is the width of a prefix, the ids alone with that prefix.
// Differentiable with respect to `prompt`.
EncoderBatch WithPrompt(const LanguageModel& model, const at::Tensor& prompt, const PaddedIds& ids);

// Without a prompt.
EncoderBatch WithoutPrompt(const LanguageModel& model, const PaddedIds& ids);

// Rows of different prompts: prompts[b] is a soft prompt [n_b, w], a prefix or null; padding on the
// right only.
EncoderBatch WithPrompts(const LanguageModel& model, std::span<const Tensor* const> prompts,
                         std::span<const std::vector<uint32_t>> ids);

// Teacher-forced rows: a prefix (mostly start token first) and the answer's tokens.
struct TargetBatch {
  at::Tensor decoder_ids;  // [B, T]: prefix, then all of the answer but its last token
  at::Tensor positions;    // [B, P]: where each answer token is predicted; 0 in the padding
  at::Tensor targets;      // [B, P]: the answer; 0 in the padding
  at::Tensor mask;         // [B, P] bool: true at answer tokens
};

// Prefixes and answers of row b; neither may be empty.
TargetBatch BuildTargets(std::span<const std::vector<uint32_t>> prefixes,
                         std::span<const std::vector<uint32_t>> answers, const std::string& device);

// Natural logarithms [B, P] of the probabilities of targets [B, P] under logits [B, P, vocabulary].
at::Tensor TargetLogProbs(const at::Tensor& logits, const at::Tensor& targets);

// Mean of -log_probs [B, P] over the positions where mask [B, P] is true: the training loss, nats
// per token.
at::Tensor MeanNll(const at::Tensor& log_probs, const at::Tensor& mask);

// A float32 copy on `device` that owns its memory, and back.
at::Tensor ToTorch(const Tensor& tensor, const std::string& device);
Tensor FromTorch(const at::Tensor& tensor);

}  // namespace ddpt
