#include "core/evaluation/porter_stem.h"

#include <algorithm>
#include <initializer_list>
#include <span>
#include <utility>
#include <vector>

#include "core/text/unicode.h"

namespace ddpt {
namespace {

using Word = std::u32string;
using View = std::u32string_view;

// Of each character; a y is one unless it follows a consonant.
std::vector<bool> Consonants(View word) {
  std::vector<bool> consonants;
  for (const char32_t c : word) {
    const bool vowel = c == U'a' || c == U'e' || c == U'i' || c == U'o' || c == U'u' ||
                       (c == U'y' && !consonants.empty() && consonants.back());
    consonants.push_back(!vowel);
  }
  return consonants;
}

// Porter's m: how often a consonant follows a vowel.
int Measure(View stem) {
  const std::vector<bool> consonants = Consonants(stem);
  int measure = 0;
  for (size_t i = 1; i < consonants.size(); ++i) measure += consonants[i] && !consonants[i - 1];
  return measure;
}

bool HasVowel(View stem) {
  const std::vector<bool> consonants = Consonants(stem);
  return std::find(consonants.begin(), consonants.end(), false) != consonants.end();
}

bool EndsInConsonant(View stem) { return !stem.empty() && Consonants(stem).back(); }

// Porter's *d.
bool EndsInDoubleConsonant(View stem) {
  return stem.size() >= 2 && stem.back() == stem[stem.size() - 2] && EndsInConsonant(stem);
}

// Porter's *o.
bool EndsInShortSyllable(View stem) {
  const size_t size = stem.size();
  if (size < 2) return false;
  const std::vector<bool> consonants = Consonants(stem);
  if (!consonants[size - 1] || consonants[size - 2]) return false;
  if (size == 2) return true;
  return consonants[size - 3] && View(U"wxy").find(stem.back()) == View::npos;
}

struct Rule {
  View suffix, replacement;
};

// The first rule whose suffix ends the word; null: none.
const Rule* FindRule(View word, std::span<const Rule> rules) {
  for (const Rule& rule : rules) {
    if (word.ends_with(rule.suffix)) return &rule;
  }
  return nullptr;
}

View StemOf(View word, View suffix) { return word.substr(0, word.size() - suffix.size()); }

void Replace(Word& word, const Rule& rule) {
  word.resize(word.size() - rule.suffix.size());
  word += rule.replacement;
}

void RemovePlural(Word& word) {
  static constexpr Rule kRules[] = {{U"sses", U"ss"}, {U"ies", U"i"}, {U"ss", U"ss"}, {U"s", U""}};
  const Rule* rule = FindRule(word, kRules);
  if (rule == nullptr) return;
  Replace(word, word.size() == 4 && rule->suffix == U"ies" ? Rule{U"ies", U"ie"} : *rule);
}

// What is left of a word whose -ed or -ing went.
void MendStem(Word& stem) {
  static constexpr Rule kRules[] = {{U"at", U"ate"}, {U"bl", U"ble"}, {U"iz", U"ize"}};
  if (const Rule* rule = FindRule(stem, kRules)) {
    Replace(stem, *rule);
  } else if (EndsInDoubleConsonant(stem)) {
    if (View(U"lsz").find(stem.back()) == View::npos) stem.pop_back();
  } else if (Measure(stem) == 1 && EndsInShortSyllable(stem)) {
    stem += U'e';
  }
}

void RemovePast(Word& word) {
  static constexpr Rule kRules[] = {{U"ied", U"i"}, {U"eed", U"ee"}, {U"ed", U""}, {U"ing", U""}};
  const Rule* rule = FindRule(word, kRules);
  if (rule == nullptr) return;
  const View stem = StemOf(word, rule->suffix);
  if (rule->suffix == U"ied") {
    Replace(word, stem.size() == 1 ? Rule{U"ied", U"ie"} : *rule);
  } else if (rule->suffix == U"eed") {
    if (Measure(stem) > 0) Replace(word, *rule);
  } else if (HasVowel(stem)) {
    Replace(word, *rule);
    MendStem(word);
  }
}

void ChangeLastY(Word& word) {
  if (!word.ends_with(U'y')) return;
  const View stem = StemOf(word, U"y");
  if (stem.size() > 1 && EndsInConsonant(stem)) word.back() = U'i';
}

void ShortenDoubleSuffix(Word& word) {
  static constexpr Rule kRules[] = {
      {U"ational", U"ate"}, {U"tional", U"tion"}, {U"enci", U"ence"},   {U"anci", U"ance"},
      {U"izer", U"ize"},    {U"bli", U"ble"},     {U"alli", U"al"},     {U"entli", U"ent"},
      {U"eli", U"e"},       {U"ousli", U"ous"},   {U"ization", U"ize"}, {U"ation", U"ate"},
      {U"ator", U"ate"},    {U"alism", U"al"},    {U"iveness", U"ive"}, {U"fulness", U"ful"},
      {U"ousness", U"ous"}, {U"aliti", U"al"},    {U"iviti", U"ive"},   {U"biliti", U"ble"},
      {U"fulli", U"ful"},   {U"logi", U"log"}};
  const Rule* rule = FindRule(word, kRules);
  if (rule == nullptr) return;
  const View counted = StemOf(word, rule->suffix == U"logi" ? View(U"ogi") : rule->suffix);
  if (Measure(counted) == 0) return;
  Replace(word, *rule);
  if (rule->suffix == U"alli") ShortenDoubleSuffix(word);
}

void ShortenSuffix(Word& word) {
  static constexpr Rule kRules[] = {{U"icate", U"ic"}, {U"ative", U""},  {U"alize", U"al"},
                                    {U"iciti", U"ic"}, {U"ical", U"ic"}, {U"ful", U""},
                                    {U"ness", U""}};
  const Rule* rule = FindRule(word, kRules);
  if (rule != nullptr && Measure(StemOf(word, rule->suffix)) > 0) Replace(word, *rule);
}

void RemoveSuffix(Word& word) {
  static constexpr Rule kRules[] = {{U"al", U""},    {U"ance", U""}, {U"ence", U""}, {U"er", U""},
                                    {U"ic", U""},    {U"able", U""}, {U"ible", U""}, {U"ant", U""},
                                    {U"ement", U""}, {U"ment", U""}, {U"ent", U""},  {U"ion", U""},
                                    {U"ou", U""},    {U"ism", U""},  {U"ate", U""},  {U"iti", U""},
                                    {U"ous", U""},   {U"ive", U""},  {U"ize", U""}};
  const Rule* rule = FindRule(word, kRules);
  if (rule == nullptr) return;
  const View stem = StemOf(word, rule->suffix);
  if (Measure(stem) <= 1) return;
  if (rule->suffix == U"ion" && !stem.ends_with(U's') && !stem.ends_with(U't')) return;
  Replace(word, *rule);
}

void RemoveLastLetter(Word& word) {
  if (word.ends_with(U'e')) {
    const View stem = StemOf(word, U"e");
    const int measure = Measure(stem);
    if (measure > 1 || (measure == 1 && !EndsInShortSyllable(stem))) word.pop_back();
  }
  if (word.ends_with(U"ll") && Measure(StemOf(word, U"l")) > 1) word.pop_back();
}

std::string_view IrregularStem(std::string_view word) {
  static constexpr std::pair<std::string_view, std::string_view> kIrregular[] = {
      {"sky", "sky"},        {"skies", "sky"},        {"dying", "die"},
      {"lying", "lie"},      {"tying", "tie"},        {"news", "news"},
      {"innings", "inning"}, {"inning", "inning"},    {"outings", "outing"},
      {"outing", "outing"},  {"cannings", "canning"}, {"canning", "canning"},
      {"howe", "howe"},      {"proceed", "proceed"},  {"exceed", "exceed"},
      {"succeed", "succeed"}};
  for (const auto& [irregular, stem] : kIrregular) {
    if (irregular == word) return stem;
  }
  return "";
}

}  // namespace

std::string PorterStem(std::string_view bytes) {
  if (const std::string_view stem = IrregularStem(bytes); !stem.empty()) return std::string(stem);
  Word word;
  for (std::string_view rest = bytes; !rest.empty();) {
    const Utf8Char next = NextChar(rest);
    word.push_back(next.code);
    rest.remove_prefix(next.length);
  }
  if (word.size() <= 2) return std::string(bytes);
  for (void (*step)(Word&) : {RemovePlural, RemovePast, ChangeLastY, ShortenDoubleSuffix,
                              ShortenSuffix, RemoveSuffix, RemoveLastLetter}) {
    step(word);
  }
  std::string stem;
  for (const char32_t c : word) AppendUtf8(c, &stem);
  return stem;
}

}  // namespace ddpt
