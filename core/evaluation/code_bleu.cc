#include "core/evaluation/code_bleu.h"

#include <algorithm>
#include <cmath>

#include "core/base/status.h"
#include "core/evaluation/code_comments.h"
#include "core/evaluation/code_keywords.h"
#include "core/evaluation/data_flow.h"
#include "core/evaluation/ngrams.h"
#include "core/evaluation/words.h"

namespace ddpt {
namespace {

// Single tokens of the reference, in fifths.
void CountWeightedTokens(const NumberedTokens& numbers, const std::vector<std::string>& reference,
                         CodeLanguage language, CodeBleuCounts& counts) {
  std::vector<uint64_t> free(numbers.reference_kinds);
  for (const uint32_t number : numbers.prediction) {
    if (number < free.size()) ++free[number];
  }
  uint64_t total = 0;
  for (size_t i = 0; i < reference.size(); ++i) {
    const uint64_t weight = IsKeyword(reference[i], language) ? 5 : 1;
    uint64_t& left = free[numbers.reference[i]];
    total += weight;
    if (left == 0) continue;
    --left;
    counts.weighted_matches[0] += weight;
  }
  counts.weighted_totals[0] = std::max<uint64_t>(total, 5);
}

uint64_t NgramsOf(size_t tokens, size_t order) {
  return tokens < order ? 1 : static_cast<uint64_t>(tokens - order + 1);
}

CodeBleuCounts CountTokens(const std::vector<std::string>& prediction,
                           const std::vector<std::string>& reference, CodeLanguage language) {
  CodeBleuCounts counts{
      .prediction_tokens = prediction.size(), .reference_tokens = reference.size(), .examples = 1};
  const NumberedTokens numbers = NumberTokens(prediction, reference);
  CountCommonNgrams(numbers.prediction, numbers.reference, counts.matches);
  counts.weighted_matches = counts.matches;
  counts.weighted_matches[0] = 0;
  for (size_t i = 0; i < 4; ++i) {
    counts.totals[i] = NgramsOf(prediction.size(), i + 1);
    counts.weighted_totals[i] = NgramsOf(reference.size(), i + 1);
  }
  CountWeightedTokens(numbers, reference, language, counts);
  return counts;
}

using Orders = std::array<uint64_t, 4>;

// nltk's corpus_bleu of summed counts, with its smoothing "method 1".
double SmoothedBleu(const Orders& matches, const Orders& totals, uint64_t prediction_tokens,
                    uint64_t reference_tokens) {
  if (matches[0] == 0) return 0;
  double logs = 0;
  for (size_t i = 0; i < matches.size(); ++i) {
    const double met = matches[i] == 0 ? 0.1 : static_cast<double>(matches[i]);
    logs += std::log(met / static_cast<double>(totals[i]));
  }
  const double ratio =
      static_cast<double>(reference_tokens) / static_cast<double>(prediction_tokens);
  return std::exp(logs / 4 + std::min(0.0, 1 - ratio));
}

double Share(const MatchCounts& counts) {
  if (counts.total == 0) return 0;
  return static_cast<double>(counts.matches) / static_cast<double>(counts.total);
}

}  // namespace

CodeBleuCounts& CodeBleuCounts::operator+=(const CodeBleuCounts& other) {
  for (size_t i = 0; i < matches.size(); ++i) {
    matches[i] += other.matches[i];
    totals[i] += other.totals[i];
    weighted_matches[i] += other.weighted_matches[i];
    weighted_totals[i] += other.weighted_totals[i];
  }
  prediction_tokens += other.prediction_tokens;
  reference_tokens += other.reference_tokens;
  examples += other.examples;
  syntax += other.syntax;
  data_flow += other.data_flow;
  return *this;
}

absl::StatusOr<ParsedCode> ParseCode(std::string_view code, CodeLanguage language) {
  code = StripSpace(code);
  // Code that is too long is left to the parser to refuse.
  const std::string bare =
      code.size() > SyntaxTree::kMaxBytes ? std::string(code) : WithoutComments(code, language);
  DDPT_ASSIGN_OR_RETURN(const SyntaxTree tree, SyntaxTree::Parse(bare, language));
  return ParsedCode{.tokens = SplitWords(code),
                    .subtrees = SubtreeHashes(tree, bare),
                    .data_flow = DataFlowHashes(tree, bare, language)};
}

CodeBleuCounts CountCodeBleu(const ParsedCode& prediction, const ParsedCode& reference,
                             CodeLanguage language) {
  CodeBleuCounts counts = CountTokens(prediction.tokens, reference.tokens, language);
  counts.syntax = MatchSyntax(prediction.subtrees, reference.subtrees);
  counts.data_flow = MatchDataFlow(prediction.data_flow, reference.data_flow);
  return counts;
}

CodeBleu ScoreCodeBleu(const CodeBleuCounts& counts) {
  CodeBleu score{.ngram = SmoothedBleu(counts.matches, counts.totals, counts.prediction_tokens,
                                       counts.reference_tokens),
                 .weighted_ngram = SmoothedBleu(counts.weighted_matches, counts.weighted_totals,
                                                counts.prediction_tokens, 2 * counts.examples),
                 .syntax = Share(counts.syntax),
                 .data_flow = Share(counts.data_flow)};
  const double without_flow = score.ngram + score.weighted_ngram + score.syntax;
  score.compat = (without_flow + (score.data_flow == 0 ? 1 : score.data_flow)) / 4;
  score.strict =
      counts.data_flow.total == 0 ? without_flow / 3 : (without_flow + score.data_flow) / 4;
  return score;
}

}  // namespace ddpt
