#include "core/decoding/beam_search.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/decoding/token_chooser.h"
#include "core/text/tokenizer.h"

namespace ddpt {

BeamSearch::BeamSearch(const DecodingOptions& options, const Tokenizer* tokenizer)
    : options_(options), tokenizer_(tokenizer), beams_(1) {}

absl::Status BeamSearch::Advance(std::span<float> logits, std::span<const uint8_t> usable,
                                 uint32_t end_token) {
  candidates_.clear();
  const size_t vocabulary = usable.size();
  for (size_t beam = 0; beam < beams_.size(); ++beam) {
    const absl::Status status =
        AddCandidates(beam, logits.subspan(beam * vocabulary, vocabulary), usable);
    if (!status.ok()) return status;
  }
  if (candidates_.empty()) {
    return absl::InternalError(
        absl::StrCat("the logits of token ", beams_[0].answer.tokens.size(), " are infinite"));
  }
  std::vector<Beam> next;
  for (size_t rank = 0; rank < candidates_.size() && next.size() < options_.num_beams; ++rank) {
    const Candidate& candidate = candidates_[rank];
    Hypothesis answer = beams_[candidate.beam].answer;
    answer.tokens.push_back(candidate.id);
    answer.logprobs.push_back(candidate.logprob);
    answer.sum = candidate.sum;
    const auto end = EndOf(answer, end_token);
    if (!end) {
      next.push_back({std::move(answer), static_cast<int64_t>(candidate.beam)});
    } else if (rank < options_.num_beams) {
      Finish(std::move(answer), *end);
    }
  }
  beams_ = std::move(next);
  done_ = beams_.empty() ||
          (finished_.size() == options_.num_beams &&
           Score(beams_[0].answer.sum, beams_[0].answer.tokens.size()) <= finished_.back().score);
  return absl::OkStatus();
}

std::vector<int64_t> BeamSearch::Parents() const {
  std::vector<int64_t> parents;
  for (const Beam& beam : beams_) parents.push_back(beam.parent);
  return parents;
}

std::vector<uint32_t> BeamSearch::LastTokens() const {
  std::vector<uint32_t> tokens;
  for (const Beam& beam : beams_) tokens.push_back(beam.answer.tokens.back());
  return tokens;
}

absl::Status BeamSearch::AddCandidates(size_t beam, std::span<float> logits,
                                       std::span<const uint8_t> usable) {
  const Hypothesis& answer = beams_[beam].answer;
  const size_t most = 2 * size_t{options_.num_beams};
  if (std::any_of(logits.begin(), logits.end(), [](float logit) { return std::isnan(logit); })) {
    return absl::InternalError(absl::StrCat("a logit of token ", answer.tokens.size(), " is NaN"));
  }
  const double total = LogSumExp(logits);
  const std::set<uint32_t> penalized =
      options_.repetition_penalty == 1
          ? std::set<uint32_t>()
          : std::set<uint32_t>(answer.tokens.begin(), answer.tokens.end());
  const auto better = [](const Candidate& a, const Candidate& b) { return a.sum > b.sum; };
  for (uint32_t id = 0; id < logits.size(); ++id) {
    if (!usable[id] || !std::isfinite(logits[id])) continue;
    const double logprob = logits[id] - total;
    const double factor = penalized.contains(id) ? options_.repetition_penalty : 1;
    const Candidate candidate{answer.sum + factor * logprob, beam, id, static_cast<float>(logprob)};
    if (candidates_.size() == most && !better(candidate, candidates_.back())) continue;
    if (candidates_.size() == most) candidates_.pop_back();
    candidates_.insert(std::upper_bound(candidates_.begin(), candidates_.end(), candidate, better),
                       candidate);
  }
  return absl::OkStatus();
}

std::optional<FinishReason> BeamSearch::EndOf(const Hypothesis& answer, uint32_t end_token) const {
  if (answer.tokens.back() == end_token) return FinishReason::kStop;
  if (!options_.stop.empty()) {
    const std::string text = tokenizer_->Decode(answer.tokens);
    for (const std::string& stop : options_.stop) {
      if (absl::StrContains(text, stop)) return FinishReason::kStop;
    }
  }
  if (answer.tokens.size() >= options_.max_new_tokens) return FinishReason::kLength;
  return std::nullopt;
}

void BeamSearch::Finish(Hypothesis answer, FinishReason reason) {
  answer.score = Score(answer.sum, answer.tokens.size());
  answer.finish_reason = reason;
  const auto better = [](const Hypothesis& a, const Hypothesis& b) { return a.score > b.score; };
  const auto place = std::upper_bound(finished_.begin(), finished_.end(), answer, better);
  finished_.insert(place, std::move(answer));
  if (finished_.size() > options_.num_beams) finished_.pop_back();
}

double BeamSearch::Score(double sum, size_t tokens) const {
  return sum / std::pow(static_cast<double>(tokens), options_.length_penalty);
}

}  // namespace ddpt
