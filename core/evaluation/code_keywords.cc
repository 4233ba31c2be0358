#include "core/evaluation/code_keywords.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "absl/container/flat_hash_set.h"

namespace ddpt {
namespace {

using Words = absl::flat_hash_set<std::string_view>;

// Parted by single spaces.
constexpr char kPython[] =
    "False None True and as assert async await break case class continue def del elif else "
    "except finally for from global if import in is lambda match nonlocal not or pass raise "
    "return try type while with yield";

constexpr char kJavaScript[] =
    "True await break case catch class const continue debugger default delete do else enum "
    "export extends false finally for function if implements import in instanceof interface "
    "let new null package private protected public return static super switch this throw try "
    "typeof var void while with yield";

constexpr char kJava[] =
    "abstract assert boolean break byte case catch char class const continue default do "
    "double else enum extends final finally float for goto if implements import instanceof "
    "int interface long native new package private protected public return short static "
    "strictfp super switch synchronized this throw throws transient try void volatile while";

constexpr char kC[] =
    "_Packed auto break case char const continue default do double else enum extern float for "
    "goto if int long register return short signed sizeof static struct switch typedef union "
    "unsigned void volatile while";

constexpr char kCpp[] =
    "INT_MAX INT_MIN MAX_RAND NULL and and_eq asm auto bitand bitor bool break case catch "
    "char cin class compl const const_cast continue cout default delete do double "
    "dynamic_cast else endl enum explicit extern false float for friend goto if include "
    "inline int iomanip iostream long main mutable namespace new not not_eq npos operator or "
    "or_eq private protected public register reinterpret_cast return short signed sizeof "
    "static static_cast std string struct switch template this throw true try typedef typeid "
    "typename union unsigned using virtual void volatile wchar_t while xor xor_eq";

Words Split(std::string_view words) {
  Words split;
  for (size_t begin = 0; begin < words.size();) {
    const size_t end = std::min(words.find(' ', begin), words.size());
    split.insert(words.substr(begin, end - begin));
    begin = end + 1;
  }
  return split;
}

const Words& KeywordsOf(CodeLanguage language) {
  static const auto* keywords = new std::array<Words, 5>{Split(kPython), Split(kJavaScript),
                                                         Split(kJava), Split(kC), Split(kCpp)};
  return (*keywords)[static_cast<size_t>(language)];
}

}  // namespace

bool IsKeyword(std::string_view word, CodeLanguage language) {
  return KeywordsOf(language).contains(word);
}

}  // namespace ddpt
