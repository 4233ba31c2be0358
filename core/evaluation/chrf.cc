#include "core/evaluation/chrf.h"

#include <algorithm>
#include <string>
#include <vector>

#include "core/text/unicode.h"

namespace ddpt {
namespace {

constexpr size_t kOrders = 6;
constexpr double kBetaSquared = 4;

// White_Space, and the four separators that Python counts besides.
bool IsSpace(char32_t code) {
  return (CharClasses(code) & kSpace) != 0 || (code >= 0x1c && code <= 0x1f);
}

std::u32string Characters(std::string_view bytes) {
  std::u32string characters;
  while (!bytes.empty()) {
    const Utf8Char next = NextChar(bytes);
    if (!IsSpace(next.code)) characters.push_back(next.code);
    bytes.remove_prefix(next.length);
  }
  return characters;
}

std::vector<std::u32string_view> SortedNgrams(std::u32string_view text, size_t order) {
  std::vector<std::u32string_view> ngrams;
  for (size_t i = 0; i + order <= text.size(); ++i) ngrams.push_back(text.substr(i, order));
  std::sort(ngrams.begin(), ngrams.end());
  return ngrams;
}

uint64_t Common(const std::vector<std::u32string_view>& some,
                const std::vector<std::u32string_view>& others) {
  uint64_t common = 0;
  for (auto a = some.begin(), b = others.begin(); a != some.end() && b != others.end();) {
    const int order = a->compare(*b);
    common += order == 0;
    a += order <= 0;
    b += order >= 0;
  }
  return common;
}

}  // namespace

ChrfCounts& ChrfCounts::operator+=(const ChrfCounts& other) {
  for (size_t i = 0; i < kOrders; ++i) {
    matches[i] += other.matches[i];
    prediction[i] += other.prediction[i];
    reference[i] += other.reference[i];
  }
  return *this;
}

ChrfCounts CountChrf(std::string_view prediction, std::string_view reference) {
  const std::u32string predicted = Characters(prediction), wanted = Characters(reference);
  ChrfCounts counts;
  for (size_t i = 0; i < kOrders; ++i) {
    const auto ours = SortedNgrams(predicted, i + 1), theirs = SortedNgrams(wanted, i + 1);
    counts.matches[i] = Common(ours, theirs);
    counts.prediction[i] = theirs.empty() ? 0 : ours.size();
    counts.reference[i] = theirs.size();
  }
  return counts;
}

double Chrf(const ChrfCounts& counts) {
  double precision = 0, recall = 0;
  int orders = 0;
  for (size_t i = 0; i < kOrders; ++i) {
    if (counts.prediction[i] == 0 || counts.reference[i] == 0) continue;
    precision += double(counts.matches[i]) / double(counts.prediction[i]);
    recall += double(counts.matches[i]) / double(counts.reference[i]);
    ++orders;
  }
  if (precision + recall == 0) return 0;
  precision /= orders;
  recall /= orders;
  return (1 + kBetaSquared) * precision * recall / (kBetaSquared * precision + recall);
}

}  // namespace ddpt
