#include "core/decoding/token_chooser.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "absl/strings/str_cat.h"
#include "core/base/philox.h"

namespace ddpt {
namespace {

constexpr uint32_t kStage = 0x10000;
constexpr float kNever = -std::numeric_limits<float>::infinity();

struct Candidate {
  uint32_t id;
  double weight;  // probability times a constant
};

void Penalize(std::span<float> logits, const std::vector<uint32_t>& answer, double penalty) {
  if (penalty == 1) return;
  for (const uint32_t id : std::set<uint32_t>(answer.begin(), answer.end())) {
    float& logit = logits[id];
    logit = static_cast<float>(logit > 0 ? logit / penalty : logit * penalty);
  }
}

// All usable tokens with their weights, the likeliest first where there is something to cut.
std::vector<Candidate> Candidates(std::span<const float> logits, const DecodingOptions& options) {
  const double top = *std::max_element(logits.begin(), logits.end());
  std::vector<Candidate> candidates;
  for (uint32_t id = 0; id < logits.size(); ++id) {
    if (logits[id] == kNever) continue;
    candidates.push_back({id, std::exp((logits[id] - top) / options.temperature)});
  }
  const auto before = [](const Candidate& a, const Candidate& b) {
    return a.weight != b.weight ? a.weight > b.weight : a.id < b.id;
  };
  if (options.top_k > 0 && options.top_k < candidates.size()) {
    const auto end = candidates.begin() + options.top_k;
    std::nth_element(candidates.begin(), end, candidates.end(), before);
    candidates.erase(end, candidates.end());
  }
  if (options.top_p < 1) std::sort(candidates.begin(), candidates.end(), before);
  return candidates;
}

double Total(const std::vector<Candidate>& candidates) {
  double total = 0;
  for (const Candidate& candidate : candidates) total += candidate.weight;
  return total;
}

// Keeps the fewest that make up the mass.
void CutMass(std::vector<Candidate>* candidates, double mass) {
  const double wanted = mass * Total(*candidates);
  double sum = 0;
  size_t kept = 0;
  while (kept < candidates->size() && sum < wanted) sum += (*candidates)[kept++].weight;
  candidates->resize(std::max<size_t>(kept, 1));
}

uint32_t Draw(std::span<const float> logits, const DecodingOptions& options, const NoiseKey& key,
              uint32_t block) {
  std::vector<Candidate> candidates = Candidates(logits, options);
  if (options.top_p < 1) CutMass(&candidates, options.top_p);
  std::sort(candidates.begin(), candidates.end(),
            [](const Candidate& a, const Candidate& b) { return a.id < b.id; });
  const double uniform = std::ldexp(static_cast<double>(PhiloxBlock(key, block)[0]), -32);
  double left = uniform * Total(candidates);
  for (const Candidate& candidate : candidates) {
    left -= candidate.weight;
    if (left < 0) return candidate.id;
  }
  return candidates.back().id;
}

}  // namespace

double LogSumExp(std::span<const float> logits) {
  const float top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - top);
  return top + std::log(sum);
}

absl::StatusOr<ChosenToken> ChooseToken(std::span<float> logits, std::span<const uint8_t> usable,
                                        const std::vector<uint32_t>& answer,
                                        const DecodingOptions& options, uint32_t choice) {
  for (const float logit : logits) {
    if (std::isnan(logit)) {
      return absl::InternalError(absl::StrCat("a logit of token ", answer.size(), " is NaN"));
    }
  }
  const std::vector<float> raw(options.logprobs ? logits.begin() : logits.end(), logits.end());
  Penalize(logits, answer, options.repetition_penalty);
  for (size_t id = 0; id < logits.size(); ++id) {
    if (!usable[id]) logits[id] = kNever;
  }
  const auto top = std::max_element(logits.begin(), logits.end());
  if (!std::isfinite(*top)) {
    return absl::InternalError(
        absl::StrCat("the logits of token ", answer.size(), " are infinite"));
  }
  ChosenToken chosen{.id = static_cast<uint32_t>(top - logits.begin())};
  if (options.temperature > 0) {
    const NoiseKey key{.seed = options.seed, .sample = choice, .stage = kStage};
    chosen.id = Draw(logits, options, key, static_cast<uint32_t>(answer.size()));
  }
  if (options.logprobs) chosen.logprob = static_cast<float>(raw[chosen.id] - LogSumExp(raw));
  return chosen;
}

}  // namespace ddpt
