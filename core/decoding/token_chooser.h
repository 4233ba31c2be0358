#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "core/decoding/options.h"

namespace ddpt {

struct ChosenToken {
  uint32_t id = 0;
  // Natural logarithm of its probability under the model itself: all rows of the vocabulary, before
  // penalty, temperature and cuts. 0 unless options.wants_logprobs().
  float logprob = 0;
};

// ln sum exp(logits). Thread-safe.
double LogSumExp(std::span<const float> logits);

// The next token of one choice. `logits` [vocabulary] is changed where the penalty falls, no more;
// `usable` [vocabulary] is non-zero at ids that may be chosen; `answer` holds the tokens so far.
// Greedy is one pass over the logits, without a copy. In this order: repetition penalty on
// tokens of `answer`; greedy, or temperature, then top_k, then top_p of what is left, and a draw
// with the uniform number (Philox, key options.seed, sample `choice`, stage 0x10000, block
// answer.size()): a function of these arguments alone. Ties go to the smaller id. INTERNAL where a
// logit is NaN or all are -inf. Thread-safe.
absl::StatusOr<ChosenToken> ChooseToken(std::span<float> logits, std::span<const uint8_t> usable,
                                        const std::vector<uint32_t>& answer,
                                        const DecodingOptions& options, uint32_t choice);

}  // namespace ddpt
