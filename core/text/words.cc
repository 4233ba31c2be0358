#include "core/text/words.h"

#include "core/text/unicode.h"

namespace ddpt {
namespace {

constexpr uint8_t kKinds = kLetter | kNumber | kSpace;  // no bit: the third kind, symbols

uint8_t KindAt(std::string_view text, size_t position) {
  return CharClasses(NextChar(text.substr(position)).code) & kKinds;
}

size_t EndOfRun(std::string_view text, size_t position, uint8_t kind) {
  while (position < text.size()) {
    const Utf8Char next = NextChar(text.substr(position));
    if ((CharClasses(next.code) & kKinds) != kind) break;
    position += next.length;
  }
  return position;
}

// The length of the contraction in front, or 0.
size_t Contraction(std::string_view text) {
  for (const std::string_view suffix : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"}) {
    if (text.starts_with(suffix)) return suffix.size();
  }
  return 0;
}

// The end of the whitespace word at `begin`: a run leaves its last character to the word after it.
size_t EndOfSpaces(std::string_view text, size_t begin) {
  const size_t end = EndOfRun(text, begin, kSpace);
  if (end == text.size()) return end;
  size_t last = end - 1;
  while ((text[last] & 0xC0) == 0x80) --last;
  return last > begin ? last : end;
}

size_t EndOfWord(std::string_view text, size_t begin) {
  if (const size_t length = Contraction(text.substr(begin))) return begin + length;
  const size_t start = begin + (text[begin] == ' ' ? 1 : 0);
  if (start < text.size()) {
    const uint8_t kind = KindAt(text, start);
    if (kind != kSpace) return EndOfRun(text, start, kind);
  }
  return EndOfSpaces(text, begin);
}

}  // namespace

std::vector<std::string_view> SplitWords(std::string_view text) {
  std::vector<std::string_view> words;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = EndOfWord(text, begin);
    words.push_back(text.substr(begin, end - begin));
    begin = end;
  }
  return words;
}

}  // namespace ddpt
