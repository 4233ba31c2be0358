#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/text/unicode.h"

namespace ddpt {

// What Python's str.split takes for white space: White_Space, and the four separators U+001C to
// U+001F.
inline bool IsPythonSpace(char32_t code) {
  if (code < 0x80)
    return code == ' ' || (code >= 0x9 && code <= 0xd) || (code >= 0x1c && code <= 0x1f);
  return (CharClasses(code) & kSpace) != 0;
}

// NextChar, faster where text is ASCII.
inline Utf8Char FirstChar(std::string_view text) {
  const auto byte = static_cast<uint8_t>(text[0]);
  return byte < 0x80 ? Utf8Char{byte, 1, Utf8Char::kValid} : NextChar(text);
}

// `text` without white space at its end; points into `text`.
std::string_view WithoutTrailingSpace(std::string_view text);

// Without white space at both ends, as str.strip() leaves UTF-8; points into `text`.
std::string_view StripSpace(std::string_view text);

// What stands between white space, as str.split() finds it in UTF-8.
std::vector<std::string> SplitWords(std::string_view text);

// The tokens of two texts as numbers from 0 on: equal tokens have equal numbers. Numbers below
// `reference_kinds` are those of the reference's tokens, the others are found in the prediction
// alone.
struct NumberedTokens {
  std::vector<uint32_t> prediction, reference;
  uint32_t reference_kinds = 0;
};

NumberedTokens NumberTokens(const std::vector<std::string>& prediction,
                            const std::vector<std::string>& reference);

}  // namespace ddpt
