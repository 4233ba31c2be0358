#include "core/evaluation/rouge.h"

#include <bit>
#include <cstddef>
#include <cstdint>

#include "core/evaluation/words.h"
#include "core/text/lower_case.h"

namespace ddpt {
namespace {

bool IsAlphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

// Bit-parallel (Hyyro 2004): a column of the table of lengths is one bit for each token of the
// reference, 0 where the length grows there.
uint64_t LongestCommonSubsequence(const NumberedTokens& tokens) {
  std::vector<std::vector<size_t>> places(tokens.reference_kinds);
  for (size_t i = 0; i < tokens.reference.size(); ++i) places[tokens.reference[i]].push_back(i);
  const size_t words = tokens.reference.size() / 64 + 1;
  std::vector<uint64_t> column(words, ~uint64_t{0}), matching(words);
  for (const uint32_t token : tokens.prediction) {
    if (token >= tokens.reference_kinds) continue;
    for (const size_t place : places[token]) matching[place / 64] |= uint64_t{1} << place % 64;
    uint64_t carry = 0;
    for (size_t i = 0; i < words; ++i) {
      const uint64_t old = column[i], both = old & matching[i];
      const uint64_t sum = old + both + carry;
      carry = carry != 0 ? sum <= old : sum < old;
      column[i] = sum | (old & ~both);
    }
    for (const size_t place : places[token]) matching[place / 64] = 0;
  }
  uint64_t length = 0;
  for (const uint64_t word : column) length += std::popcount(~word);
  return length;
}

}  // namespace

std::vector<std::string> RougeTokens(std::string_view code) {
  const std::string lower = LowerCase(code);
  std::vector<std::string> tokens;
  for (size_t begin = 0; begin < lower.size();) {
    size_t end = begin;
    while (end < lower.size() && IsAlphanumeric(lower[end])) ++end;
    if (end > begin) tokens.push_back(lower.substr(begin, end - begin));
    begin = end + 1;
  }
  return tokens;
}

double RougeL(std::string_view prediction, std::string_view reference) {
  const NumberedTokens tokens = NumberTokens(RougeTokens(prediction), RougeTokens(reference));
  const uint64_t common = LongestCommonSubsequence(tokens);
  if (common == 0) return 0;
  // F1 of common / c and common / r.
  return 2 * static_cast<double>(common) /
         static_cast<double>(tokens.prediction.size() + tokens.reference.size());
}

}  // namespace ddpt
