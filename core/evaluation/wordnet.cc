#include "core/evaluation/wordnet.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

constexpr uint64_t kFileLimit = uint64_t{64} << 20;
constexpr std::array<const char*, 4> kParts = {"noun", "verb", "adj", "adv"};

using Words = std::vector<std::string>;
using Ending = std::pair<std::string_view, std::string_view>;

// What ends a word, and what its base form ends with instead; by part of speech.
const std::array<std::vector<Ending>, 4>& Endings() {
  static const auto* endings =
      new std::array<std::vector<Ending>, 4>{{{{"s", ""},
                                               {"ses", "s"},
                                               {"ves", "f"},
                                               {"xes", "x"},
                                               {"zes", "z"},
                                               {"ches", "ch"},
                                               {"shes", "sh"},
                                               {"men", "man"},
                                               {"ies", "y"}},
                                              {{"s", ""},
                                               {"ies", "y"},
                                               {"es", "e"},
                                               {"es", ""},
                                               {"ed", "e"},
                                               {"ed", ""},
                                               {"ing", "e"},
                                               {"ing", ""}},
                                              {{"er", ""}, {"est", ""}, {"er", "e"}, {"est", "e"}},
                                              {}}};
  return *endings;
}

// What stands between spaces, one after the other.
class Fields {
 public:
  explicit Fields(std::string_view line) : rest_(line) {}

  std::string_view Next() {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(' '), rest_.size()));
    const std::string_view field = rest_.substr(0, rest_.find(' '));
    rest_.remove_prefix(field.size());
    return field;
  }

  // 0 where there is no number.
  size_t NextNumber(int base) {
    uint32_t number = 0;
    const std::string_view field = Next();
    std::from_chars(field.data(), field.data() + field.size(), number, base);
    return number;
  }

 private:
  std::string_view rest_;
};

std::string_view LineAt(std::string_view text, size_t begin) {
  begin = std::min(begin, text.size());
  return text.substr(begin, text.find('\n', begin) - begin);
}

// The line of a sorted file whose first field is `key`; "": none.
std::string_view FindLine(std::string_view text, std::string_view key) {
  size_t low = 0, high = text.size();  // lines begin there
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    const size_t start = text.substr(0, middle).rfind('\n') + 1;  // 0 without a line feed
    const std::string_view line = LineAt(text, start);
    const std::string_view found = line.substr(0, line.find(' '));
    if (found == key) return line;
    if (found < key) {
      low = start + line.size() + 1;
    } else {
      high = start;
    }
  }
  return {};
}

absl::flat_hash_map<std::string, Words> ReadExceptions(std::string_view text) {
  absl::flat_hash_map<std::string, Words> exceptions;
  for (size_t begin = 0; begin < text.size();) {
    const std::string_view line = LineAt(text, begin);
    Fields fields(line);
    const std::string word(fields.Next());
    Words bases;
    for (std::string_view base = fields.Next(); !base.empty(); base = fields.Next()) {
      bases.emplace_back(base);
    }
    exceptions[word] = std::move(bases);
    begin += line.size() + 1;
  }
  return exceptions;
}

// The words of the synset that begins at a place of the data file.
void AddWords(std::string_view data, size_t place, std::set<std::string>& words) {
  Fields fields(LineAt(data, place));
  for (int skipped = 0; skipped < 3; ++skipped) fields.Next();
  for (size_t left = std::min<size_t>(fields.NextNumber(16), 255); left > 0; --left) {
    const std::string_view word = fields.Next();
    fields.Next();
    // An adjective may have a marker: galore(ip).
    if (word.find('_') == std::string_view::npos) words.emplace(word.substr(0, word.find('(')));
  }
}

// The synsets' places that a line of an index file tells.
std::vector<size_t> Places(std::string_view line) {
  Fields fields(line);
  fields.Next();
  fields.Next();
  const size_t synsets = std::min(fields.NextNumber(10), line.size());
  // Pointer symbols, and two numbers of senses.
  const size_t skipped = std::min(fields.NextNumber(10), line.size()) + 2;
  for (size_t i = 0; i < skipped; ++i) fields.Next();
  std::vector<size_t> places;
  for (size_t i = 0; i < synsets; ++i) places.push_back(fields.NextNumber(10));
  return places;
}

}  // namespace

absl::StatusOr<WordNet> WordNet::Load(const std::string& folder) {
  WordNet wordnet;
  for (size_t i = 0; i < kParts.size(); ++i) {
    PartOfSpeech& part = wordnet.parts_[i];
    DDPT_ASSIGN_OR_RETURN(part.index,
                          ReadFile(absl::StrCat(folder, "/index.", kParts[i]), kFileLimit));
    DDPT_ASSIGN_OR_RETURN(part.data,
                          ReadFile(absl::StrCat(folder, "/data.", kParts[i]), kFileLimit));
    DDPT_ASSIGN_OR_RETURN(const std::string exceptions,
                          ReadFile(absl::StrCat(folder, "/", kParts[i], ".exc"), kFileLimit));
    part.exceptions = ReadExceptions(exceptions);
  }
  return wordnet;
}

const std::vector<std::string>& WordNet::Synonyms(std::string_view word) {
  const std::lock_guard lock(*mutex_);
  const auto [entry, is_new] = known_.try_emplace(std::string(word));
  if (!is_new) return entry->second;
  std::set<std::string> words;
  for (size_t i = 0; i < parts_.size(); ++i) {
    std::set<std::string> forms = {std::string(word)};
    const auto exception = parts_[i].exceptions.find(std::string(word));
    if (exception != parts_[i].exceptions.end()) {
      forms.insert(exception->second.begin(), exception->second.end());
    } else {
      for (const auto& [ending, base] : Endings()[i]) {
        if (!word.ends_with(ending)) continue;
        forms.insert(std::string(word.substr(0, word.size() - ending.size())) + std::string(base));
      }
    }
    for (const std::string& form : forms) {
      if (form.empty()) continue;
      for (const size_t place : Places(FindLine(parts_[i].index, form))) {
        AddWords(parts_[i].data, place, words);
      }
    }
  }
  entry->second.assign(words.begin(), words.end());
  return entry->second;
}

}  // namespace ddpt
