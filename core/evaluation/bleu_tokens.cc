#include "core/evaluation/bleu_tokens.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core/evaluation/words.h"

namespace ddpt {
namespace {

bool IsSmall(char c) { return c >= 'a' && c <= 'z'; }

bool IsCapital(char c) { return c >= 'A' && c <= 'Z'; }

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

bool IsStop(char c) { return c == '.' || c == ','; }

bool IsDash(char c) { return c == '-'; }

bool IsAsciiWord(char c) { return IsSmall(c) || IsCapital(c) || IsDigit(c) || c == '_'; }

bool IsWord(char c) { return IsAsciiWord(c) || static_cast<unsigned char>(c) >= 0x80; }

bool IsAsciiSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

bool IsMark13a(char c) {
  return (c >= ' ' && c <= '/' && c != '\'' && c != ',' && c != '-' && c != '.') ||
         (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}

std::string ReplaceMarkup(std::string_view code) {
  std::string text(code);
  using Replacement = std::pair<absl::string_view, absl::string_view>;
  // One after the other: what one leaves may be what the next looks for.
  for (const Replacement& replacement : {Replacement("<skipped>", ""),
                                         {"-\n", ""},
                                         {"\n", " "},
                                         {"&quot;", "\""},
                                         {"&amp;", "&"},
                                         {"&lt;", "<"},
                                         {"&gt;", ">"}}) {
    absl::StrReplaceAll({replacement}, &text);
  }
  return text;
}

std::string SpaceMarks(std::string_view text) {
  std::string spaced;
  spaced.reserve(2 * text.size());
  for (const char c : text) {
    if (IsMark13a(c)) {
      spaced.append({' ', c, ' '});
    } else {
      spaced.push_back(c);
    }
  }
  return spaced;
}

// Every two characters of which the first is one kind and the second another are parted by a space,
// with one more before or behind them; they are taken from the left and share no character.
template <bool kFirst(char), bool kSecond(char), bool kSpaceBefore>
std::string SpacePairs(std::string_view text) {
  std::string spaced;
  spaced.reserve(2 * text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (i + 1 == text.size() || !kFirst(text[i]) || !kSecond(text[i + 1])) {
      spaced.push_back(text[i]);
      continue;
    }
    if (kSpaceBefore) spaced.push_back(' ');
    spaced.append({text[i], ' ', text[i + 1]});
    if (!kSpaceBefore) spaced.push_back(' ');
    ++i;
  }
  return spaced;
}

bool IsNoDigit(char c) { return !IsDigit(c); }

}  // namespace

std::vector<std::string> CodeTokens(std::string_view code) {
  std::vector<std::string> tokens;
  for (size_t begin = 0; begin < code.size();) {
    size_t end = begin;
    while (end < code.size() && IsWord(code[end])) ++end;
    if (end == begin) ++end;
    if (!IsAsciiSpace(code[begin])) tokens.emplace_back(code.substr(begin, end - begin));
    begin = end;
  }
  return tokens;
}

std::vector<std::string> ConalaTokens(std::string_view code) {
  std::vector<std::string> tokens;
  for (size_t begin = 0; begin < code.size();) {
    size_t end = begin;
    while (end < code.size() && IsAsciiWord(code[end]) &&
           (end == begin || !IsSmall(code[end - 1]) || !IsCapital(code[end]))) {
      ++end;
    }
    if (end > begin) {
      tokens.emplace_back(code.substr(begin, end - begin));
    } else {
      const Utf8Char next = FirstChar(code.substr(begin));
      end = begin + next.length;
      const bool quote = code[begin] == '"' || code[begin] == '\'';
      if (!IsPythonSpace(next.code)) {
        tokens.emplace_back(quote ? "`" : code.substr(begin, next.length));
      }
    }
    begin = end;
  }
  return tokens;
}

std::vector<std::string> Tokens13a(std::string_view code) {
  std::string text = SpaceMarks(absl::StrCat(" ", ReplaceMarkup(code), " "));
  text = SpacePairs<IsNoDigit, IsStop, /*kSpaceBefore=*/false>(text);
  text = SpacePairs<IsStop, IsNoDigit, /*kSpaceBefore=*/true>(text);
  text = SpacePairs<IsDigit, IsDash, /*kSpaceBefore=*/false>(text);
  return SplitWords(text);
}

std::vector<std::string> TrimmedTokens13a(std::string_view code) {
  return Tokens13a(WithoutTrailingSpace(code));
}

}  // namespace ddpt
