#include "core/text/bpe_trainer.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/text/byte_symbols.h"
#include "core/text/unicode.h"
#include "core/text/words.h"

namespace ddpt {
namespace {

constexpr uint32_t kMaxVocabulary = 65536;

absl::Status CheckArguments(uint32_t vocab_size, std::span<const std::string> special_tokens) {
  std::set<std::string> seen;
  for (int byte = 0; byte < 256; ++byte) {
    seen.insert(SymbolsOfBytes(std::string(1, static_cast<char>(byte))));
  }
  for (size_t i = 0; i < special_tokens.size(); ++i) {
    const std::string& token = special_tokens[i];
    if (token.empty() || ReplaceInvalidUtf8(token) != token || !seen.insert(token).second) {
      return FieldError(absl::StrCat("special_tokens[", i, "]"),
                        absl::StrCat("\"", ReplaceInvalidUtf8(token),
                                     "\" is empty, ill-formed, repeated or a byte symbol"));
    }
  }
  if (vocab_size < seen.size() || vocab_size > kMaxVocabulary) {
    return FieldError("vocab_size",
                      absl::StrCat(vocab_size, " is outside ", seen.size(), "..", kMaxVocabulary));
  }
  return absl::OkStatus();
}

class Trainer {
 public:
  Trainer(std::span<const std::string> corpus, std::span<const std::string> special_tokens)
      : special_count_(special_tokens.size()) {
    for (const std::string& token : special_tokens) AddToken(token, "");
    std::map<char32_t, uint8_t> bytes;  // by symbol
    for (int byte = 0; byte < 256; ++byte) bytes[ByteSymbol(static_cast<uint8_t>(byte))] = byte;
    for (const auto& [symbol, byte] : bytes) {
      const std::string text(1, static_cast<char>(byte));
      AddToken(SymbolsOfBytes(text), text);
    }
    CountWords(corpus);
  }

  void Train(uint32_t vocab_size) {
    while (spellings_.size() < vocab_size) {
      const Pair best = BestPair();
      if (best == kNoPair) break;
      Merge(best);
    }
  }

  TokenizerFiles Files() const {
    nlohmann::ordered_json vocab = nlohmann::ordered_json::object();
    for (size_t id = 0; id < spellings_.size(); ++id) vocab[spellings_[id]] = id;
    nlohmann::ordered_json config = {{"add_prefix_space", false},
                                     {"added_tokens_decoder", nlohmann::ordered_json::object()},
                                     {"tokenizer_class", "CodeGenTokenizer"}};
    for (size_t id = 0; id < special_count_; ++id) {
      config["added_tokens_decoder"][absl::StrCat(id)] = {
          {"content", spellings_[id]}, {"lstrip", false},      {"normalized", false},
          {"rstrip", false},           {"single_word", false}, {"special", true}};
    }
    if (special_count_ > 0) {
      for (const char* key : {"bos_token", "eos_token", "unk_token"}) config[key] = spellings_[0];
    }
    return {vocab.dump() + "\n", merges_, config.dump(2) + "\n"};
  }

 private:
  using Pair = std::pair<uint32_t, uint32_t>;
  static constexpr Pair kNoPair = {UINT32_MAX, UINT32_MAX};

  struct Word {
    std::vector<uint32_t> ids;
    int64_t count = 0;
  };

  uint32_t AddToken(const std::string& spelling, const std::string& bytes) {
    const auto [place, inserted] = ids_.try_emplace(spelling, spellings_.size());
    if (inserted) {
      spellings_.push_back(spelling);
      bytes_.push_back(bytes);
    }
    return place->second;
  }

  void CountWords(std::span<const std::string> corpus) {
    std::map<std::string, int64_t> counts;
    for (const std::string& raw : corpus) {
      const std::string text = ReplaceInvalidUtf8(raw);
      for (const std::string_view word : SplitWords(text)) ++counts[std::string(word)];
    }
    for (const auto& [word, count] : counts) {
      Word& entry = words_.emplace_back();
      entry.count = count;
      for (const char byte : word) {
        entry.ids.push_back(ids_.at(SymbolsOfBytes(std::string_view(&byte, 1))));
      }
      CountPairs(words_.size() - 1, +1);
    }
  }

  void CountPairs(size_t index, int sign) {
    const Word& word = words_[index];
    for (size_t i = 0; i + 1 < word.ids.size(); ++i) {
      PairUse& use = pairs_[{word.ids[i], word.ids[i + 1]}];
      use.count += sign * word.count;
      if (sign > 0) use.words.insert(index);
    }
  }

  // Whether `a` is to be merged rather than `b`, whose count is the same.
  bool ComesFirst(const Pair& a, const Pair& b) const {
    return std::tie(bytes_[a.first], bytes_[a.second]) <
           std::tie(bytes_[b.first], bytes_[b.second]);
  }

  bool SpellsSpecial(const Pair& pair) const {
    const auto found = ids_.find(spellings_[pair.first] + spellings_[pair.second]);
    return found != ids_.end() && found->second < special_count_;
  }

  Pair BestPair() const {
    Pair best = kNoPair;
    int64_t best_count = 1;
    for (const auto& [pair, use] : pairs_) {
      if (use.count < 2 || use.count < best_count) continue;
      if (use.count == best_count && !ComesFirst(pair, best)) continue;
      if (SpellsSpecial(pair)) continue;
      best = pair;
      best_count = use.count;
    }
    return best;
  }

  void Merge(const Pair& pair) {
    const auto [left, right] = pair;
    absl::StrAppend(&merges_, spellings_[left], " ", spellings_[right], "\n");
    const uint32_t id =
        AddToken(spellings_[left] + spellings_[right], bytes_[left] + bytes_[right]);
    const auto words = std::move(pairs_[pair].words);
    for (const size_t index : words) {
      CountPairs(index, -1);
      std::vector<uint32_t> merged;
      const std::vector<uint32_t>& ids = words_[index].ids;
      for (size_t i = 0; i < ids.size(); ++i) {
        const bool here = i + 1 < ids.size() && ids[i] == left && ids[i + 1] == right;
        merged.push_back(here ? id : ids[i]);
        i += here ? 1 : 0;
      }
      words_[index].ids = std::move(merged);
      CountPairs(index, +1);
    }
    pairs_.erase(pair);
  }

  struct PairUse {
    int64_t count = 0;
    absl::flat_hash_set<size_t> words;  // where it stands or has stood
  };

  const size_t special_count_;
  std::vector<std::string> spellings_, bytes_;  // by id
  absl::flat_hash_map<std::string, uint32_t> ids_;
  std::vector<Word> words_;
  absl::flat_hash_map<Pair, PairUse> pairs_;
  std::string merges_ = "#version: 0.2\n";
};

}  // namespace

absl::StatusOr<TokenizerFiles> TrainByteLevelBpe(std::span<const std::string> corpus,
                                                 uint32_t vocab_size,
                                                 std::span<const std::string> special_tokens) {
  DDPT_RETURN_IF_ERROR(CheckArguments(vocab_size, special_tokens));
  Trainer trainer(corpus, special_tokens);
  trainer.Train(vocab_size);
  return trainer.Files();
}

}  // namespace ddpt
