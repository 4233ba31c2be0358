#include "core/evaluation/words.h"

#include "absl/container/flat_hash_map.h"

namespace ddpt {
namespace {

using Numbers = absl::flat_hash_map<std::string_view, uint32_t>;

std::vector<uint32_t> NumbersOf(const std::vector<std::string>& tokens, Numbers& numbers) {
  std::vector<uint32_t> found;
  found.reserve(tokens.size());
  for (const std::string& token : tokens) {
    found.push_back(
        numbers.try_emplace(token, static_cast<uint32_t>(numbers.size())).first->second);
  }
  return found;
}

// Whether a byte is a character of ASCII by itself, and no space: what text mostly is.
bool IsPrinted(char c) { return c > ' ' && c < 0x7f; }

}  // namespace

std::string_view WithoutTrailingSpace(std::string_view text) {
  if (!text.empty() && IsPrinted(text.back())) return text;
  size_t end = 0;
  for (size_t i = 0; i < text.size();) {
    const Utf8Char next = FirstChar(text.substr(i));
    i += next.length;
    if (!IsPythonSpace(next.code)) end = i;
  }
  return text.substr(0, end);
}

std::string_view StripSpace(std::string_view text) {
  while (!text.empty()) {
    const Utf8Char next = FirstChar(text);
    if (!IsPythonSpace(next.code)) break;
    text.remove_prefix(next.length);
  }
  return WithoutTrailingSpace(text);
}

std::vector<std::string> SplitWords(std::string_view text) {
  std::vector<std::string> words;
  size_t begin = 0;
  for (size_t i = 0; i < text.size();) {
    if (IsPrinted(text[i])) {
      ++i;
      continue;
    }
    const Utf8Char next = FirstChar(text.substr(i));
    if (IsPythonSpace(next.code)) {
      if (i > begin) words.emplace_back(text.substr(begin, i - begin));
      begin = i + next.length;
    }
    i += next.length;
  }
  if (text.size() > begin) words.emplace_back(text.substr(begin));
  return words;
}

NumberedTokens NumberTokens(const std::vector<std::string>& prediction,
                            const std::vector<std::string>& reference) {
  Numbers numbers;
  numbers.reserve(prediction.size() + reference.size());
  NumberedTokens tokens;
  tokens.reference = NumbersOf(reference, numbers);
  tokens.reference_kinds = static_cast<uint32_t>(numbers.size());
  tokens.prediction = NumbersOf(prediction, numbers);
  return tokens;
}

}  // namespace ddpt
