#include "core/evaluation/bleu.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace ddpt {
namespace {

using Tokens = std::vector<std::string_view>;
using NgramCounts = std::map<Tokens, uint64_t>;

constexpr size_t kOrders = 4;

bool IsSpace(unsigned char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

bool IsWord(unsigned char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c >= 0x80;
}

NgramCounts Ngrams(const Tokens& tokens, size_t order) {
  NgramCounts counts;
  for (size_t i = 0; i + order <= tokens.size(); ++i) {
    ++counts[Tokens(tokens.begin() + i, tokens.begin() + i + order)];
  }
  return counts;
}

uint64_t Common(const NgramCounts& some, const NgramCounts& others) {
  uint64_t common = 0;
  for (const auto& [ngram, count] : some) {
    const auto other = others.find(ngram);
    if (other != others.end()) common += std::min(count, other->second);
  }
  return common;
}

// `added` to both counts of orders above 1.
double Bleu(const BleuCounts& counts, double added) {
  if (counts.matches[0] == 0) return 0;
  double log_sum = 0;
  int orders = 0;
  for (size_t i = 0; i < kOrders; ++i) {
    const double extra = i == 0 ? 0 : added;
    const double matches = counts.matches[i] + extra, total = counts.totals[i] + extra;
    if (total == 0) break;
    if (matches == 0) return 0;
    log_sum += std::log(matches / total);
    ++orders;
  }
  const double ratio = double(counts.reference_tokens) / double(counts.prediction_tokens);
  return std::exp(log_sum / orders + std::min(0.0, 1 - ratio));
}

}  // namespace

std::vector<std::string_view> CodeTokens(std::string_view code) {
  Tokens tokens;
  for (size_t begin = 0; begin < code.size();) {
    size_t end = begin;
    while (end < code.size() && IsWord(code[end])) ++end;
    if (end == begin) ++end;
    if (!IsSpace(code[begin])) tokens.push_back(code.substr(begin, end - begin));
    begin = end;
  }
  return tokens;
}

BleuCounts& BleuCounts::operator+=(const BleuCounts& other) {
  for (size_t i = 0; i < kOrders; ++i) {
    matches[i] += other.matches[i];
    totals[i] += other.totals[i];
  }
  prediction_tokens += other.prediction_tokens;
  reference_tokens += other.reference_tokens;
  return *this;
}

BleuCounts CountBleu(std::string_view prediction, std::string_view reference) {
  const Tokens predicted = CodeTokens(prediction), wanted = CodeTokens(reference);
  BleuCounts counts;
  counts.prediction_tokens = predicted.size();
  counts.reference_tokens = wanted.size();
  for (size_t order = 1; order <= kOrders; ++order) {
    counts.matches[order - 1] = Common(Ngrams(predicted, order), Ngrams(wanted, order));
    counts.totals[order - 1] = std::max(predicted.size() + 1, order) - order;
  }
  return counts;
}

double CorpusBleu(const BleuCounts& counts) { return Bleu(counts, 0); }

double SentenceBleu(const BleuCounts& counts) { return Bleu(counts, 1); }

}  // namespace ddpt
