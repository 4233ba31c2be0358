#include "core/decoding/token_chooser.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>

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

// What the logits of the answer's tokens were before the penalty fell on them.
std::map<uint32_t, float> Penalize(std::span<float> logits, const std::vector<uint32_t>& answer,
                                   double penalty) {
  std::map<uint32_t, float> before;
  if (penalty == 1) return before;
  for (const uint32_t id : answer) {
    float& logit = logits[id];
    if (!before.emplace(id, logit).second) continue;
    logit = static_cast<float>(logit > 0 ? logit / penalty : logit * penalty);
  }
  return before;
}

// The largest usable logit of a stretch, its id the first of equals.
struct Top {
  float logit = kNever;
  size_t id = 0;
  bool nan = false;  // some logit, usable or not, is NaN
};

// One pass that writes nothing. Stretches of kLanes are compared side by side, each lane keeping
// its own largest.
Top ArgMax(std::span<const float> logits, std::span<const uint8_t> usable) {
  constexpr size_t kLanes = 16;
  std::array<float, kLanes> top;
  std::array<uint32_t, kLanes> place{}, nan{};
  top.fill(kNever);
  const size_t whole = logits.size() / kLanes * kLanes;
  for (size_t first = 0; first < whole; first += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const float logit = logits[first + lane];
      const float open = usable[first + lane] != 0 ? logit : kNever;
      nan[lane] |= static_cast<uint32_t>(std::isnan(logit));
      place[lane] = open > top[lane] ? static_cast<uint32_t>(first) : place[lane];
      top[lane] = open > top[lane] ? open : top[lane];
    }
  }
  Top found;
  const auto take = [&found](float logit, size_t id) {
    if (logit > found.logit || (logit == found.logit && id < found.id))
      found = {logit, id, found.nan};
  };
  for (size_t lane = 0; lane < kLanes; ++lane) {
    found.nan |= nan[lane] != 0;
    take(top[lane], place[lane] + lane);
  }
  for (size_t id = whole; id < logits.size(); ++id) {
    found.nan |= std::isnan(logits[id]);
    if (usable[id] != 0) take(logits[id], id);
  }
  return found;
}

// All usable tokens with their weights, the likeliest first where there is something to cut.
std::vector<Candidate> Candidates(std::span<const float> logits, std::span<const uint8_t> usable,
                                  double top, const DecodingOptions& options) {
  std::vector<Candidate> candidates;
  for (uint32_t id = 0; id < logits.size(); ++id) {
    if (!usable[id] || logits[id] == kNever) continue;
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

uint32_t Draw(std::vector<Candidate> candidates, const DecodingOptions& options,
              const NoiseKey& key, uint32_t block) {
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
  const double total = options.wants_logprobs() ? LogSumExp(logits) : 0;
  const auto before = Penalize(logits, answer, options.repetition_penalty);
  const Top top = ArgMax(logits, usable);
  if (top.nan) {
    return absl::InternalError(absl::StrCat("a logit of token ", answer.size(), " is NaN"));
  }
  if (!std::isfinite(top.logit)) {
    return absl::InternalError(
        absl::StrCat("the logits of token ", answer.size(), " are infinite"));
  }
  ChosenToken chosen{.id = static_cast<uint32_t>(top.id)};
  if (options.temperature > 0) {
    const NoiseKey key{.seed = options.seed, .sample = choice, .stage = kStage};
    chosen.id = Draw(Candidates(logits, usable, top.logit, options), options, key,
                     static_cast<uint32_t>(answer.size()));
  }
  if (options.wants_logprobs()) {
    const auto penalized = before.find(chosen.id);
    const float logit = penalized == before.end() ? logits[chosen.id] : penalized->second;
    chosen.logprob = static_cast<float>(logit - total);
  }
  return chosen;
}

}  // namespace ddpt
