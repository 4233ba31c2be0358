#include "core/evaluation/bleu.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

namespace ddpt {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(CodeTokensTest, WordsAndSingleCharacters) {
  EXPECT_THAT(CodeTokens("a_1+=f(\"x\")"),
              ElementsAre("a_1", "+", "=", "f", "(", "\"", "x", "\"", ")"));
}

TEST(CodeTokensTest, WhiteSpaceOnlySeparates) {
  EXPECT_THAT(CodeTokens(" a\tb\r\n  c\v\f"), ElementsAre("a", "b", "c"));
  EXPECT_THAT(CodeTokens(" \n"), IsEmpty());
}

TEST(CodeTokensTest, LettersOutsideAsciiBelongToWords) {
  EXPECT_THAT(CodeTokens("größe=naïve"), ElementsAre("größe", "=", "naïve"));
}

TEST(BleuTest, CountsAreClippedByTheReference) {
  const BleuCounts counts = CountBleu("the the the the", "the cat is on the mat");
  EXPECT_THAT(counts.matches, ElementsAre(2, 0, 0, 0));
  EXPECT_THAT(counts.totals, ElementsAre(4, 3, 2, 1));
  EXPECT_EQ(counts.prediction_tokens, 4u);
  EXPECT_EQ(counts.reference_tokens, 6u);
}

TEST(BleuTest, AShortPredictionHasNoLongNgrams) {
  EXPECT_THAT(CountBleu("a b", "a b c").totals, ElementsAre(2, 1, 0, 0));
  EXPECT_THAT(CountBleu("", "a b c").totals, ElementsAre(0, 0, 0, 0));
}

TEST(BleuTest, ACorpusIsNotTheMeanOfItsSentences) {
  const BleuCounts good = CountBleu("return a + b", "return a + b"), bad = CountBleu("x", "y");
  BleuCounts both = good;
  both += bad;
  EXPECT_EQ(SentenceBleu(good), 1);
  EXPECT_EQ(SentenceBleu(bad), 0);
  EXPECT_NEAR(CorpusBleu(both), std::pow(4.0 / 5, 0.25), 1e-12);
}

TEST(BleuTest, IdenticalTextsScoreOneHoweverShort) {
  for (const char* code : {"x", "f(x", "f(x)", "def f(x): return x"}) {
    EXPECT_EQ(CorpusBleu(CountBleu(code, code)), 1) << code;
    EXPECT_EQ(SentenceBleu(CountBleu(code, code)), 1) << code;
  }
}

TEST(BleuTest, AgreesWithSacrebleu) {
  const nlohmann::json cases =
      nlohmann::json::parse(std::ifstream(DDPT_TEST_DATA "/bleu_golden.json"));
  ASSERT_GT(cases.size(), 40u);
  for (const auto& entry : cases) {
    BleuCounts sum;
    for (size_t i = 0; i < entry["pairs"].size(); ++i) {
      const BleuCounts counts = CountBleu(entry["pairs"][i][0].get<std::string>(),
                                          entry["pairs"][i][1].get<std::string>());
      EXPECT_NEAR(SentenceBleu(counts), entry["sentences"][i].get<double>(), 1e-9)
          << entry["pairs"][i];
      sum += counts;
    }
    EXPECT_NEAR(CorpusBleu(sum), entry["corpus"].get<double>(), 1e-9) << entry["pairs"];
  }
}

}  // namespace
}  // namespace ddpt
