#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/base/file.h"
#include "core/decoding/generation_row.h"
#include "core/text/bpe_trainer.h"
#include "core/text/byte_symbols.h"
#include "core/text/tokenizer.h"
#include "core/text/unicode.h"
#include "tests/core/registry/temporary_folder.h"

namespace ddpt {
namespace {

// Characters of one to four bytes.
constexpr std::string_view kText = "é=😀\n#€";

// A tokenizer that has a token for every part of kText, so that an answer can come in all ways.
std::unique_ptr<const Tokenizer> AllParts() {
  const std::vector<std::string> special = {"<|endoftext|>"};
  const TokenizerFiles files = TrainByteLevelBpe({}, 257, special).value();
  auto vocabulary = nlohmann::json::parse(files.vocab_json);
  for (size_t begin = 0; begin < kText.size(); ++begin) {
    for (size_t length = 2; begin + length <= kText.size(); ++length) {
      vocabulary.emplace(SymbolsOfBytes(kText.substr(begin, length)), vocabulary.size());
    }
  }
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/";
  EXPECT_TRUE(WriteFileAtomic(path + "vocab.json", vocabulary.dump()).ok());
  EXPECT_TRUE(WriteFileAtomic(path + "merges.txt", files.merges_txt).ok());
  EXPECT_TRUE(WriteFileAtomic(path + "tokenizer_config.json", files.tokenizer_config_json).ok());
  return Tokenizer::Load(folder.path()).value();
}

class AnswerTextTest : public testing::Test {
 protected:
  // What a row tells of an answer that comes in these tokens.
  static std::vector<Delta> Tell(const std::vector<std::string_view>& pieces,
                                 const std::vector<std::string>& stops) {
    std::vector<Delta> told;
    DecodingOptions options;
    options.max_new_tokens = static_cast<uint32_t>(pieces.size());
    options.stop = stops;
    GenerationRow made;
    made.options = std::make_shared<const DecodingOptions>(options);
    made.sink = [&](const Delta& delta) {
      told.push_back(delta);
      return true;
    };
    const auto row = RunningRow::Create(std::move(made), 0, tokenizer_.get());
    const std::vector<uint8_t> usable(tokenizer_->vocab_size(), 1);
    for (const std::string_view piece : pieces) {
      if (row->ended()) break;
      std::vector<float> logits(usable.size());
      logits[tokenizer_->IdOf(SymbolsOfBytes(piece)).value()] = 1;
      row->Advance(logits, usable, *tokenizer_->eos_id());
    }
    EXPECT_TRUE(row->ended());
    return told;
  }

  // kText cut behind byte i where bit i is set.
  static std::vector<std::string_view> Split(uint32_t cuts) {
    std::vector<std::string_view> pieces;
    size_t begin = 0;
    for (size_t end = 1; end <= kText.size(); ++end) {
      if (end < kText.size() && (cuts >> (end - 1) & 1) == 0) continue;
      pieces.push_back(kText.substr(begin, end - begin));
      begin = end;
    }
    return pieces;
  }
  static constexpr uint32_t kSplits = 1 << (kText.size() - 1);

  inline static const std::unique_ptr<const Tokenizer> tokenizer_ = AllParts();
};

TEST_F(AnswerTextTest, NoSplitOfATextShowsPartOfACharacter) {
  for (uint32_t cuts = 0; cuts < kSplits; ++cuts) {
    const std::vector<std::string_view> pieces = Split(cuts);
    const std::vector<Delta> told = Tell(pieces, {});
    ASSERT_EQ(told.size(), pieces.size());
    std::string text;
    for (const Delta& delta : told) {
      ASSERT_EQ(ReplaceInvalidUtf8(delta.text), delta.text) << cuts;
      text += delta.text;
    }
    ASSERT_EQ(text, kText) << cuts;
    ASSERT_EQ(told.back().finish_reason, FinishReason::kLength);
  }
}

TEST_F(AnswerTextTest, NoSplitOfATextHidesAStopString) {
  for (const std::string stop : {"é", "😀", "=😀\n", "\n#", "#€", "€"}) {
    const std::string before(kText.substr(0, kText.find(stop)));
    for (uint32_t cuts = 0; cuts < kSplits; ++cuts) {
      const std::vector<std::string_view> pieces = Split(cuts);
      const std::vector<Delta> told = Tell(pieces, {"never", stop});
      std::string text, given;
      for (const Delta& delta : told) {
        text += delta.text;
        ASSERT_TRUE(before.starts_with(text)) << stop << " " << cuts;
      }
      ASSERT_EQ(text, before) << stop << " " << cuts;
      ASSERT_EQ(told.back().finish_reason, FinishReason::kStop);
      // With the token that completes it, and no later.
      for (size_t i = 0; i + 1 < told.size(); ++i) given += pieces[i];
      ASSERT_LT(given.size(), before.size() + stop.size());
      ASSERT_GE(given.size() + pieces[told.size() - 1].size(), before.size() + stop.size());
    }
  }
}

TEST_F(AnswerTextTest, NoSplitOfATextLosesTheBeginningOfAStopString) {
  for (uint32_t cuts = 0; cuts < kSplits; ++cuts) {
    std::string text;
    for (const Delta& delta : Tell(Split(cuts), {"#€€", "€x"})) text += delta.text;
    ASSERT_EQ(text, kText) << cuts;
  }
}

}  // namespace
}  // namespace ddpt
