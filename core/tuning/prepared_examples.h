#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "core/tuning/dataset.h"

namespace ddpt {

struct DecoderTrunk;
class LanguageModel;
struct Prefixes;
class Tokenizer;
class TrunkFile;

// An example as token ids; the answer ends with the model's end token.
struct EncodedExample {
  std::vector<uint32_t> instruction_ids;
  std::vector<uint32_t> answer_ids;
  std::vector<uint32_t> attribute_ids = {};
};

// Token ids of AttributeText; none for no attributes. INVALID_ARGUMENT, without a field, where they
// are above the model's positions.
absl::StatusOr<std::vector<uint32_t>> EncodeAttributes(const LanguageModel& model,
                                                       const Tokenizer& tokenizer,
                                                       const Attributes& attributes);

// Tokenises all examples. INVALID_ARGUMENT names the example (from 1), its length and the model's
// positions where `context_length` vectors in the encoder and the example, or its attributes, do
// not fit.
absl::StatusOr<std::vector<EncodedExample>> EncodeExamples(const LanguageModel& model,
                                                           const Tokenizer& tokenizer,
                                                           const Dataset& dataset,
                                                           int64_t context_length);

// What conditional denoisers are conditioned on ("encoder_mean"): the mean over the tokens of the
// frozen encoder's states for the instruction alone, and, where there are attributes, that for them
// alone added to it: [C], C the encoder's width, float32.
at::Tensor PooledCondition(const LanguageModel& model, const std::vector<uint32_t>& instruction_ids,
                           const std::vector<uint32_t>& attribute_ids);

// Where the constants of examples are kept: in memory up to a budget, then in a file where there is
// one, which must outlive who uses it.
struct TrunkStorage {
  uint64_t memory_bytes = uint64_t{2} << 30;
  TrunkFile* file = nullptr;
};

// The constants of each example, computed at first use and kept as `storage` has room: the
// decoder's trunk, which does not see the prompt (exact), and the condition. Each is computed for
// its example alone, so its bytes do not depend on the order of use, nor on where they are kept.
// Not thread-safe.
class PreparedExamples {
 public:
  // `examples` must not be empty. What `storage` has no room for is computed at each use.
  PreparedExamples(std::shared_ptr<const LanguageModel> model, std::vector<EncodedExample> examples,
                   bool conditional, TrunkStorage storage);
  ~PreparedExamples();

  size_t size() const { return examples_.size(); }
  // In memory.
  uint64_t kept_bytes() const { return kept_bytes_; }
  const EncodedExample& example(uint64_t index) const { return examples_[index]; }
  // Tokens of instruction and answer of each of the given examples.
  std::vector<int64_t> Lengths(const std::vector<uint64_t>& indices) const;
  // Of the given examples together.
  int64_t AnswerTokens(const std::vector<uint64_t>& indices) const;
  // [B, C] of the given examples; kept only where `conditional`.
  at::Tensor Conditions(const std::vector<uint64_t>& indices);

  struct Losses {
    at::Tensor logits;     // [B, P, vocabulary]
    at::Tensor log_probs;  // [B, P], of the answer's tokens
    at::Tensor mask;       // [B, P] bool, true at the answer's tokens
  };
  // Cross-entropy of the examples under prompts [B, n, w], one [1, n, w] for all, or none for an
  // undefined tensor, teacher-forced through encoder, cross-attention and head only; under
  // prefixes, which the decoder sees, through all of it. Differentiable with respect to `prompts`.
  Losses Score(const std::vector<uint64_t>& indices, const at::Tensor& prompts);

 private:
  struct Prepared;
  DecoderTrunk Trunk(const std::vector<uint64_t>& indices, const Prefixes& prefixes);
  std::shared_ptr<const Prepared> Get(uint64_t index);
  std::shared_ptr<const Prepared> FromFile(const EncodedExample& example,
                                           const std::vector<uint32_t>& prefix) const;
  std::shared_ptr<const Prepared> Compute(const EncodedExample& example,
                                          const std::vector<uint32_t>& prefix) const;

  const std::shared_ptr<const LanguageModel> model_;
  const std::vector<EncodedExample> examples_;
  const bool conditional_;
  const TrunkStorage storage_;
  uint64_t kept_bytes_ = 0;
  std::vector<std::shared_ptr<const Prepared>> kept_;
};

}  // namespace ddpt
