#include "core/text/bpe_trainer.h"

#include <gtest/gtest.h>

#include "core/base/file.h"
#include "core/base/status.h"
#include "tests/core/text/text_testing.h"

namespace ddpt {
namespace {

const std::vector<std::string> kSpecial = {"<|endoftext|>", "<s>"};

std::string Golden(std::string_view name) {
  return ReadFile(DataPath("tokenizer_trained/" + std::string(name)), 1 << 20).value();
}

std::vector<std::string> Corpus() {
  std::vector<std::string> corpus;
  for (const auto& line : ReadJsonLines(DataPath("tokenizer_trained/corpus.jsonl"))) {
    corpus.push_back(line.get<std::string>());
  }
  return corpus;
}

TEST(BpeTrainerTest, WritesTheFilesOfThePlainAlgorithm) {
  const auto files = TrainByteLevelBpe(Corpus(), 500, kSpecial);
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_EQ(files->vocab_json, Golden("vocab.json"));
  EXPECT_EQ(files->merges_txt, Golden("merges.txt"));
  EXPECT_EQ(files->tokenizer_config_json, Golden("tokenizer_config.json"));
}

TEST(BpeTrainerTest, TheFilesGiveTheIdsOfThePythonPackage) {
  const auto tokenizer = LoadTokenizer("tokenizer_trained");
  const auto rows = ReadJsonLines(DataPath("tokenizer_trained/strings.jsonl"));
  ASSERT_EQ(rows.size(), 200u);
  for (const auto& row : rows) {
    ASSERT_EQ(Ids(*tokenizer, row[0].get<std::string>()), row[1].get<std::vector<uint32_t>>());
  }
}

TEST(BpeTrainerTest, BreaksTiesByBytes) {
  const std::vector<std::string> corpus = {"yx", "yx", "ab", "ab"};
  const auto files = TrainByteLevelBpe(corpus, 257, {});
  EXPECT_EQ(files.value().merges_txt, "#version: 0.2\na b\n");
}

TEST(BpeTrainerTest, StopsWhereNoPairOccursTwice) {
  const std::vector<std::string> corpus = {"abab"};
  const auto files = TrainByteLevelBpe(corpus, 1000, {});
  EXPECT_EQ(files.value().merges_txt, "#version: 0.2\na b\n");
}

TEST(BpeTrainerTest, NeverMergesIntoASpecialToken) {
  const std::vector<std::string> corpus(3, "ab abc"), special = {"ab"};
  const auto files = TrainByteLevelBpe(corpus, 270, special);
  EXPECT_EQ(files.value().merges_txt, "#version: 0.2\nĠ a\nĠa b\nĠab c\n");
}

TEST(BpeTrainerTest, RefusesSizesOutOfRange) {
  EXPECT_EQ(FieldOf(TrainByteLevelBpe({}, 257, kSpecial).status()), "vocab_size");
  EXPECT_EQ(FieldOf(TrainByteLevelBpe({}, 65537, kSpecial).status()), "vocab_size");
  EXPECT_TRUE(TrainByteLevelBpe({}, 258, kSpecial).ok());
}

TEST(BpeTrainerTest, RefusesBadSpecialTokens) {
  for (const char* bad : {"", "a", "Ġ", "\xFF", "<s>"}) {
    const std::vector<std::string> special = {"<s>", bad};
    EXPECT_EQ(FieldOf(TrainByteLevelBpe({}, 1000, special).status()), "special_tokens[1]");
  }
}

}  // namespace
}  // namespace ddpt
