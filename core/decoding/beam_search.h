#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "core/decoding/generator.h"
#include "core/decoding/options.h"

namespace ddpt {

class Tokenizer;

// An answer that beam search has found.
struct Hypothesis {
  std::vector<uint32_t> tokens;
  std::vector<float> logprobs;  // of each token under the model itself, natural logarithms
  double sum = 0;               // of the log-probabilities after the repetition penalty
  double score = 0;             // sum / tokens^length_penalty, once finished
  FinishReason finish_reason = FinishReason::kStop;
};

// Beam search over the answers of one request, as Hugging Face's `generate` does it without early
// stopping (transformers 5): each step takes the 2 num_beams likeliest continuations of all beams;
// those of the first num_beams that end are finished, the first num_beams that do not end are the
// next beams. It is done when num_beams have finished and the best beam, at its present length,
// scores no better than the worst of them. A continuation ends by the end token, a stop string or
// max_new_tokens. Ties go to the earlier beam, then to the smaller id. Not thread-safe.
class BeamSearch {
 public:
  // Both must outlive it.
  BeamSearch(const DecodingOptions& options, const Tokenizer* tokenizer);

  // Beams that await logits: one at first, then at most num_beams.
  size_t width() const { return beams_.size(); }
  // Takes a step. `logits` [width(), vocabulary] is changed; `usable` [vocabulary] is non-zero at
  // ids that may be chosen. INTERNAL where a logit is NaN or no id can be chosen.
  absl::Status Advance(std::span<float> logits, std::span<const uint8_t> usable,
                       uint32_t end_token);
  bool done() const { return done_; }

  // Of each beam: which of those before the last step it continues, and its last token.
  std::vector<int64_t> Parents() const;
  std::vector<uint32_t> LastTokens() const;

  // Best first, at most num_beams.
  const std::vector<Hypothesis>& finished() const { return finished_; }

 private:
  struct Beam {
    Hypothesis answer;
    int64_t parent = 0;
  };
  struct Candidate {
    double sum = 0;
    size_t beam = 0;
    uint32_t id = 0;
    float logprob = 0;
  };

  absl::Status AddCandidates(size_t beam, std::span<float> logits, std::span<const uint8_t> usable);
  std::optional<FinishReason> EndOf(const Hypothesis& answer, uint32_t end_token) const;
  void Finish(Hypothesis answer, FinishReason reason);
  double Score(double sum, size_t tokens) const;

  const DecodingOptions& options_;
  const Tokenizer* tokenizer_;
  std::vector<Beam> beams_;
  std::vector<Candidate> candidates_;  // of this step, best first
  std::vector<Hypothesis> finished_;
  bool done_ = false;
};

}  // namespace ddpt
