#include "core/text/lower_case.h"

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "core/text/unicode.h"

namespace ddpt {
namespace {

// Every step-th character of the range has a small letter, `difference` further on.
struct LowerRange {
  uint32_t first, last, step;
  int32_t difference;
};

constexpr LowerRange kRanges[] = {
#include "core/text/lower_case.inc"
};

constexpr char32_t kCapitalDottedI = 0x130;

char32_t Lower(char32_t code) {
  const auto* range =
      std::lower_bound(std::begin(kRanges), std::end(kRanges), code,
                       [](const LowerRange& range, char32_t code) { return range.last < code; });
  const bool found = range != std::end(kRanges) && range->first <= code &&
                     (code - range->first) % range->step == 0;
  return found ? code + static_cast<char32_t>(range->difference) : code;
}

}  // namespace

std::string LowerCase(std::string_view text) {
  std::string lower;
  lower.reserve(text.size());
  while (!text.empty()) {
    if (static_cast<uint8_t>(text[0]) < 0x80) {
      const char c = text[0];
      lower.push_back(static_cast<char>(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c));
      text.remove_prefix(1);
      continue;
    }
    const Utf8Char next = NextChar(text);
    if (next.code == kCapitalDottedI) {
      lower += "i\u0307";
    } else {
      AppendUtf8(Lower(next.code), &lower);
    }
    text.remove_prefix(next.length);
  }
  return lower;
}

}  // namespace ddpt
