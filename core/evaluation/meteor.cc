#include "core/evaluation/meteor.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "core/evaluation/porter_stem.h"
#include "core/evaluation/words.h"
#include "core/text/lower_case.h"

namespace ddpt {
namespace {

// The tokens of one side that no stage has matched yet, and where they stood.
struct Side {
  std::vector<std::string> tokens;
  std::vector<size_t> places;
};

using Match = std::pair<size_t, size_t>;  // places in the prediction and in the reference

Side SplitSide(std::string_view text) {
  Side side;
  for (const std::string& word : SplitWords(text)) {
    side.places.push_back(side.places.size());
    side.tokens.push_back(LowerCase(word));
  }
  return side;
}

void RemoveMatched(Side& side, const std::vector<bool>& matched) {
  size_t kept = 0;
  for (size_t i = 0; i < matched.size(); ++i) {
    if (matched[i]) continue;
    std::swap(side.tokens[kept], side.tokens[i]);
    side.places[kept++] = side.places[i];
  }
  side.tokens.resize(kept);
  side.places.resize(kept);
}

void MatchEqual(Side& prediction, Side& reference, std::vector<Match>& matches) {
  const NumberedTokens numbers = NumberTokens(prediction.tokens, reference.tokens);
  std::vector<std::vector<size_t>> free(numbers.reference_kinds);
  for (size_t i = 0; i < numbers.reference.size(); ++i) free[numbers.reference[i]].push_back(i);
  std::vector<bool> predicted(prediction.tokens.size()), wanted(reference.tokens.size());
  for (size_t i = numbers.prediction.size(); i-- > 0;) {
    const uint32_t number = numbers.prediction[i];
    if (number >= numbers.reference_kinds || free[number].empty()) continue;
    const size_t taken = free[number].back();
    free[number].pop_back();
    predicted[i] = wanted[taken] = true;
    matches.emplace_back(prediction.places[i], reference.places[taken]);
  }
  RemoveMatched(prediction, predicted);
  RemoveMatched(reference, wanted);
}

// Leaves both sides as they are: it is the last stage.
void MatchSynonyms(const Side& prediction, const Side& reference, WordNet& wordnet,
                   std::vector<Match>& matches) {
  absl::flat_hash_map<std::string_view, std::vector<size_t>> free;
  for (size_t i = 0; i < reference.tokens.size(); ++i) free[reference.tokens[i]].push_back(i);
  for (size_t i = prediction.tokens.size(); i-- > 0;) {
    std::vector<size_t>* last = nullptr;
    for (const std::string& synonym : wordnet.Synonyms(prediction.tokens[i])) {
      const auto found = free.find(synonym);
      if (found == free.end() || found->second.empty()) continue;
      if (last == nullptr || found->second.back() > last->back()) last = &found->second;
    }
    if (last == nullptr) continue;
    matches.emplace_back(prediction.places[i], reference.places[last->back()]);
    last->pop_back();
  }
}

void Stem(Side& side) {
  for (std::string& token : side.tokens) token = PorterStem(token);
}

size_t CountChunks(std::vector<Match>& matches) {
  std::sort(matches.begin(), matches.end());
  size_t chunks = 1;
  for (size_t i = 1; i < matches.size(); ++i) {
    const auto [predicted, wanted] = matches[i - 1];
    chunks += matches[i] != Match{predicted + 1, wanted + 1};
  }
  return chunks;
}

}  // namespace

double Meteor(std::string_view prediction, std::string_view reference, WordNet* wordnet) {
  Side predicted = SplitSide(prediction), wanted = SplitSide(reference);
  const auto predicted_tokens = static_cast<double>(predicted.tokens.size());
  const auto wanted_tokens = static_cast<double>(wanted.tokens.size());
  std::vector<Match> matches;
  MatchEqual(predicted, wanted, matches);
  Stem(predicted);
  Stem(wanted);
  MatchEqual(predicted, wanted, matches);
  if (wordnet != nullptr) MatchSynonyms(predicted, wanted, *wordnet, matches);
  if (matches.empty()) return 0;
  const auto count = static_cast<double>(matches.size());
  const double precision = count / predicted_tokens, recall = count / wanted_tokens;
  const double mean = precision * recall / (0.9 * precision + 0.1 * recall);
  const double chunks = static_cast<double>(CountChunks(matches)) / count;
  return (1 - 0.5 * chunks * chunks * chunks) * mean;
}

}  // namespace ddpt
