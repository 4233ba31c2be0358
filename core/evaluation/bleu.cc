#include "core/evaluation/bleu.h"

#include <algorithm>
#include <cmath>

#include "core/evaluation/ngrams.h"

namespace ddpt {
namespace {

constexpr size_t kOrders = 4;

double Added(BleuSmoothing smoothing, size_t order) {
  return smoothing == BleuSmoothing::kAddOne ||
                 (smoothing == BleuSmoothing::kAddOneAbove1 && order > 1)
             ? 1
             : 0;
}

}  // namespace

BleuCounts& BleuCounts::operator+=(const BleuCounts& other) {
  for (size_t i = 0; i < kOrders; ++i) {
    matches[i] += other.matches[i];
    totals[i] += other.totals[i];
  }
  prediction_tokens += other.prediction_tokens;
  reference_tokens += other.reference_tokens;
  return *this;
}

BleuCounts CountBleu(std::string_view prediction, std::string_view reference,
                     const BleuVariant& variant) {
  const NumberedTokens tokens = NumberTokens(variant.tokens(prediction), variant.tokens(reference));
  BleuCounts counts;
  counts.prediction_tokens = tokens.prediction.size();
  counts.reference_tokens = tokens.reference.size();
  CountCommonNgrams(tokens.prediction, tokens.reference, counts.matches);
  for (size_t order = 1; order <= kOrders; ++order) {
    counts.totals[order - 1] = std::max(tokens.prediction.size() + 1, order) - order;
  }
  return counts;
}

double Bleu(const BleuCounts& counts, const BleuFormula& formula) {
  if (counts.prediction_tokens == 0 || counts.reference_tokens == 0) return 0;
  if (counts.matches[0] == 0 && formula.smoothing != BleuSmoothing::kAddOne) return 0;
  double log_sum = 0, share = 1;
  int orders = 0;
  for (size_t order = 1; order <= kOrders; ++order) {
    const double added = Added(formula.smoothing, order);
    double matches = static_cast<double>(counts.matches[order - 1]) + added;
    const double total = static_cast<double>(counts.totals[order - 1]) + added;
    if (total == 0 && formula.effective_order) break;
    if (matches == 0 && formula.smoothing == BleuSmoothing::kExponential) matches = share /= 2;
    if (matches == 0 || total == 0) return 0;
    log_sum += std::log(matches / total);
    ++orders;
  }
  const double ratio =
      static_cast<double>(counts.reference_tokens) / static_cast<double>(counts.prediction_tokens);
  return std::exp(log_sum / orders + std::min(0.0, 1 - ratio));
}

}  // namespace ddpt
