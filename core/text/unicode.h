#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace ddpt {

// Classes of Unicode 16.0.0, the version of the `tokenizers` package 0.2x; a character may have
// several.
enum CharClass : uint8_t {
  kLetter = 1,  // \p{L}
  kNumber = 2,  // \p{N}
  kSpace = 4,   // \s, White_Space
  kWord = 8,    // \w as UTS #18 has it: Alphabetic, marks, decimal digits, connectors, joiners
};

// The CharClass bits of a code point; 0 for one that is unassigned or out of range.
uint8_t CharClasses(char32_t code);

// What stands at the front of some bytes.
struct Utf8Char {
  enum State : uint8_t { kValid, kInvalid, kIncomplete };
  char32_t code;  // U+FFFD unless valid
  uint8_t length;
  State state;
};

// Reads the front of non-empty `bytes`. Ill-formed bytes are taken by maximal subparts (Unicode
// 3.9, as WHATWG and Rust do): 1..3 bytes that begin a character and break off are one kInvalid,
// or kIncomplete where the bytes end before the character does.
Utf8Char NextChar(std::string_view bytes);

// The code point that ends valid, non-empty UTF-8.
char32_t LastChar(std::string_view text);

void AppendUtf8(char32_t code, std::string* text);

// Valid UTF-8 stays as it is; each maximal ill-formed subpart becomes one U+FFFD.
std::string ReplaceInvalidUtf8(std::string_view bytes);

}  // namespace ddpt
