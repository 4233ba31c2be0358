#include "core/evaluation/chrf.h"

#include <algorithm>
#include <vector>

#include "core/evaluation/ngrams.h"
#include "core/evaluation/words.h"

namespace ddpt {
namespace {

constexpr size_t kOrders = 6;
constexpr double kBetaSquared = 4;

std::vector<uint32_t> Characters(std::string_view bytes) {
  std::vector<uint32_t> characters;
  characters.reserve(bytes.size());
  while (!bytes.empty()) {
    const Utf8Char next = FirstChar(bytes);
    if (!IsPythonSpace(next.code)) characters.push_back(next.code);
    bytes.remove_prefix(next.length);
  }
  return characters;
}

uint64_t Ngrams(const std::vector<uint32_t>& characters, size_t order) {
  return std::max(characters.size() + 1, order) - order;
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
  const std::vector<uint32_t> predicted = Characters(prediction), wanted = Characters(reference);
  ChrfCounts counts;
  CountCommonNgrams(predicted, wanted, counts.matches);
  for (size_t i = 0; i < kOrders; ++i) {
    counts.reference[i] = Ngrams(wanted, i + 1);
    counts.prediction[i] = counts.reference[i] == 0 ? 0 : Ngrams(predicted, i + 1);
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
