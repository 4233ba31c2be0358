#include "core/text/unicode.h"

#include <algorithm>
#include <array>
#include <iterator>

namespace ddpt {
namespace {

struct ClassRange {
  uint32_t first, last;
  uint8_t classes;
};

constexpr ClassRange kRanges[] = {
#include "core/text/unicode_tables.inc"
};

constexpr char32_t kReplacement = 0xFFFD;

uint8_t FindClasses(char32_t code) {
  const auto* range =
      std::lower_bound(std::begin(kRanges), std::end(kRanges), code,
                       [](const ClassRange& range, char32_t code) { return range.last < code; });
  return range != std::end(kRanges) && range->first <= code ? range->classes : 0;
}

std::array<uint8_t, 256> MakeLatinClasses() {
  std::array<uint8_t, 256> classes;
  for (char32_t code = 0; code < classes.size(); ++code) classes[code] = FindClasses(code);
  return classes;
}

// The bytes that may follow a lead byte: how many, and the range of the first of them.
struct Sequence {
  uint8_t continuations, low, high;
};

Sequence SequenceOf(uint8_t lead) {
  if (lead < 0xC2 || lead > 0xF4) return {0, 0, 0};
  if (lead < 0xE0) return {1, 0x80, 0xBF};
  if (lead == 0xE0) return {2, 0xA0, 0xBF};
  if (lead == 0xED) return {2, 0x80, 0x9F};
  if (lead < 0xF0) return {2, 0x80, 0xBF};
  if (lead == 0xF0) return {3, 0x90, 0xBF};
  if (lead == 0xF4) return {3, 0x80, 0x8F};
  return {3, 0x80, 0xBF};
}

}  // namespace

uint8_t CharClasses(char32_t code) {
  static const std::array<uint8_t, 256> kLatin = MakeLatinClasses();
  return code < kLatin.size() ? kLatin[code] : FindClasses(code);
}

Utf8Char NextChar(std::string_view bytes) {
  const auto lead = static_cast<uint8_t>(bytes[0]);
  if (lead < 0x80) return {lead, 1, Utf8Char::kValid};
  auto [continuations, low, high] = SequenceOf(lead);
  if (continuations == 0) return {kReplacement, 1, Utf8Char::kInvalid};
  char32_t code = lead & (0x3F >> continuations);
  uint8_t length = 1;
  for (; length <= continuations; ++length, low = 0x80, high = 0xBF) {
    if (length == bytes.size()) return {kReplacement, length, Utf8Char::kIncomplete};
    const auto byte = static_cast<uint8_t>(bytes[length]);
    if (byte < low || byte > high) return {kReplacement, length, Utf8Char::kInvalid};
    code = code << 6 | (byte & 0x3F);
  }
  return {code, length, Utf8Char::kValid};
}

char32_t LastChar(std::string_view text) {
  size_t begin = text.size() - 1;
  while ((text[begin] & 0xC0) == 0x80) --begin;
  return NextChar(text.substr(begin)).code;
}

void AppendUtf8(char32_t code, std::string* text) {
  const auto tail = [code](int shift) { return static_cast<char>(0x80 | (code >> shift & 0x3F)); };
  if (code < 0x80) {
    *text += static_cast<char>(code);
  } else if (code < 0x800) {
    *text += {static_cast<char>(0xC0 | code >> 6), tail(0)};
  } else if (code < 0x10000) {
    *text += {static_cast<char>(0xE0 | code >> 12), tail(6), tail(0)};
  } else {
    *text += {static_cast<char>(0xF0 | code >> 18), tail(12), tail(6), tail(0)};
  }
}

std::string ReplaceInvalidUtf8(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  while (!bytes.empty()) {
    const Utf8Char next = NextChar(bytes);
    if (next.state == Utf8Char::kValid) {
      text.append(bytes.substr(0, next.length));
    } else {
      AppendUtf8(kReplacement, &text);
    }
    bytes.remove_prefix(next.length);
  }
  return text;
}

}  // namespace ddpt
