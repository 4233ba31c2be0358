#include "core/decoding/best_of.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace ddpt {

BestOf::BestOf(const DecodingOptions& options, DeltaSink sink)
    : n_(options.n),
      logprobs_(options.logprobs),
      sink_(std::move(sink)),
      candidates_(options.best_of) {}

bool BestOf::Take(const Delta& delta) {
  Candidate& candidate = candidates_[delta.choice];
  candidate.sum = std::accumulate(delta.logprobs.begin(), delta.logprobs.end(), candidate.sum);
  AppendDelta(delta, &candidate.answer);
  if (!delta.finish_reason) return true;
  candidate.answer.mean_logprob = candidate.sum / candidate.answer.output_tokens;
  return ++ended_ < candidates_.size() || Tell();
}

bool BestOf::Tell() {
  const uint32_t tokens = std::accumulate(
      candidates_.begin(), candidates_.end(), uint32_t{0},
      [](uint32_t sum, const Candidate& each) { return sum + each.answer.output_tokens; });
  std::stable_sort(candidates_.begin(), candidates_.end(),
                   [](const Candidate& a, const Candidate& b) {
                     return *a.answer.mean_logprob > *b.answer.mean_logprob;
                   });
  for (uint32_t choice = 0; choice < n_; ++choice) {
    Delta& answer = candidates_[choice].answer;
    answer.choice = choice;
    answer.candidate_tokens = tokens;
    if (!logprobs_) answer.logprobs.clear();
    if (!sink_(answer)) return false;
  }
  return true;
}

}  // namespace ddpt
