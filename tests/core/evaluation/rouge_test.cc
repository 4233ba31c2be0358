#include "core/evaluation/rouge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "tests/core/evaluation/golden_pairs.h"

namespace ddpt {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(RougeTest, TokensAreLowerLettersAndDigits) {
  EXPECT_THAT(RougeTokens("Get_x2(\"é\")+1\nEND"), ElementsAre("get", "x2", "1", "end"));
  EXPECT_THAT(RougeTokens("\u212a \u0130x"), ElementsAre("k", "i", "x"));  // Kelvin, dotted I
  EXPECT_THAT(RougeTokens("+-_"), IsEmpty());
}

TEST(RougeTest, OperatorsAreNotSeen) { EXPECT_EQ(RougeL("a + b", "a-b"), 1); }

// The vectors of rouge_score's own tests (rouge_scorer_test.py).
TEST(RougeTest, PublishedVectors) {
  EXPECT_NEAR(RougeL("testing one", "testing one two"), 4. / 5, 1e-12);
  EXPECT_NEAR(RougeL("testing two", "testing one two"), 4. / 5, 1e-12);
  EXPECT_NEAR(RougeL("text first", "first text"), 1. / 2, 1e-12);
  EXPECT_NEAR(RougeL("w2 w5 w3 w4", "w1 w2 w3 w4 w5"), 2 * 3. / 9, 1e-12);
  EXPECT_EQ(RougeL("", "testing one two"), 0);
  EXPECT_EQ(RougeL("/", "w1 w2"), 0);
}

size_t TableLength(const std::vector<std::string>& some, const std::vector<std::string>& others) {
  std::vector<std::vector<size_t>> table(some.size() + 1, std::vector<size_t>(others.size() + 1));
  for (size_t i = 0; i < some.size(); ++i) {
    for (size_t j = 0; j < others.size(); ++j) {
      table[i + 1][j + 1] =
          some[i] == others[j] ? table[i][j] + 1 : std::max(table[i][j + 1], table[i + 1][j]);
    }
  }
  return table.back().back();
}

TEST(RougeTest, LongTextsAgreeWithTheTableOfLengths) {
  std::mt19937 random(5);
  for (int round = 0; round < 100; ++round) {
    std::string texts[2];
    for (std::string& text : texts) {
      for (size_t left = 1 + random() % 300; left > 0; --left)
        text += std::to_string(random() % 5) + ' ';
    }
    const auto some = RougeTokens(texts[0]), others = RougeTokens(texts[1]);
    const auto length = static_cast<double>(TableLength(some, others));
    EXPECT_NEAR(RougeL(texts[0], texts[1]),
                2 * length / static_cast<double>(some.size() + others.size()), 1e-12);
  }
}

TEST(RougeTest, GoldenPairs) {
  double sum = 0;
  ExpectGolden("rouge_l", [&](const std::string& prediction, const std::string& reference) {
    const double score = RougeL(prediction, reference);
    sum += score;
    return score;
  });
  EXPECT_NEAR(sum / 500, GoldenCorpus("rouge_l"), 1e-6);
}

}  // namespace
}  // namespace ddpt
