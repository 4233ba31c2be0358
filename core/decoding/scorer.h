#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/stop_token.h"
#include "core/decoding/request.h"

namespace ddpt {

class LanguageModel;

struct Score {
  std::vector<float> token_logprobs;  // natural logarithm of the probability of each answer token
  double nll_mean = 0;                // minus their mean, nats per token
  double nll_sum = 0;                 // minus their sum, nats
};

// Log-probabilities of one answer, teacher-forced, under each of `prompted`: requests for the same
// or different prompts. The decoder sees each request's prefix, then the answer but its last token.
// What the decoder computes before it looks at the encoder is done once for all requests with the
// same decoder prefix (exact), but where a trained prefix stands in the decoder. FieldErrors of
// ValidateRequest, or "code" for an empty answer or ids outside the vocabulary; the stop token is
// looked at between batches of 16. Blocks; thread-safe.
absl::StatusOr<std::vector<Score>> ScoreAnswer(const LanguageModel& model,
                                               const std::vector<PromptedRequest>& prompted,
                                               const std::vector<uint32_t>& answer_ids,
                                               const StopToken& stop = {});

// Log-probabilities of answers[i] under requests[i], in batches of at most `width`. Blocks.
absl::StatusOr<std::vector<Score>> ScoreAll(const LanguageModel& model,
                                            const std::vector<PromptedRequest>& requests,
                                            const std::vector<std::vector<uint32_t>>& answers,
                                            size_t width, const StopToken& stop = {});

// How much the prompt of `prompted` changes what the model says: the mean over the positions of
// `answer_ids`, teacher-forced, of the Kullback-Leibler divergence of the next token's distribution
// under the prompt from that without it, nats. 0 without a soft prompt. Errors as ScoreAnswer's.
// Blocks; thread-safe.
absl::StatusOr<double> PromptEffect(const LanguageModel& model, const PromptedRequest& prompted,
                                    const std::vector<uint32_t>& answer_ids);

}  // namespace ddpt
