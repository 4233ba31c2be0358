#include "core/evaluation/bleu.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/core/evaluation/golden_pairs.h"

namespace ddpt {
namespace {

using ::testing::ElementsAre;

BleuCounts Count(std::string_view prediction, std::string_view reference) {
  return CountBleu(prediction, reference, kCodeTokenBleu);
}

double CorpusBleu(const BleuCounts& counts) { return Bleu(counts, kCodeTokenBleu.corpus); }

double SentenceBleu(const BleuCounts& counts) { return Bleu(counts, kCodeTokenBleu.sentence); }

TEST(BleuTest, CountsAreClippedByTheReference) {
  const BleuCounts counts = Count("the the the the", "the cat is on the mat");
  EXPECT_THAT(counts.matches, ElementsAre(2, 0, 0, 0));
  EXPECT_THAT(counts.totals, ElementsAre(4, 3, 2, 1));
  EXPECT_EQ(counts.prediction_tokens, 4u);
  EXPECT_EQ(counts.reference_tokens, 6u);
}

TEST(BleuTest, AShortPredictionHasNoLongNgrams) {
  EXPECT_THAT(Count("a b", "a b c").totals, ElementsAre(2, 1, 0, 0));
  EXPECT_THAT(Count("", "a b c").totals, ElementsAre(0, 0, 0, 0));
}

TEST(BleuTest, ACorpusIsNotTheMeanOfItsSentences) {
  const BleuCounts good = Count("return a + b", "return a + b"), bad = Count("x", "y");
  BleuCounts both = good;
  both += bad;
  EXPECT_EQ(SentenceBleu(good), 1);
  EXPECT_EQ(SentenceBleu(bad), 0);
  EXPECT_NEAR(CorpusBleu(both), std::pow(4.0 / 5, 0.25), 1e-12);
}

TEST(BleuTest, IdenticalTextsScoreOneHoweverShort) {
  for (const char* code : {"x", "f(x", "f(x)", "def f(x): return x"}) {
    EXPECT_EQ(CorpusBleu(Count(code, code)), 1) << code;
    EXPECT_EQ(SentenceBleu(Count(code, code)), 1) << code;
  }
}

TEST(BleuTest, AgreesWithSacrebleu) {
  const nlohmann::json cases =
      nlohmann::json::parse(std::ifstream(DDPT_TEST_DATA "/bleu_golden.json"));
  ASSERT_GT(cases.size(), 40u);
  for (const auto& entry : cases) {
    BleuCounts sum;
    for (size_t i = 0; i < entry["pairs"].size(); ++i) {
      const BleuCounts counts =
          Count(entry["pairs"][i][0].get<std::string>(), entry["pairs"][i][1].get<std::string>());
      EXPECT_NEAR(SentenceBleu(counts), entry["sentences"][i].get<double>(), 1e-9)
          << entry["pairs"][i];
      sum += counts;
    }
    EXPECT_NEAR(CorpusBleu(sum), entry["corpus"].get<double>(), 1e-9) << entry["pairs"];
  }
}

struct Golden {
  const char* figure;
  BleuVariant variant;
};

class BleuGoldenTest : public ::testing::TestWithParam<Golden> {};

TEST_P(BleuGoldenTest, Sentences) {
  const BleuVariant& variant = GetParam().variant;
  ExpectGolden(GetParam().figure, [&](const std::string& prediction, const std::string& reference) {
    return Bleu(CountBleu(prediction, reference, variant), variant.sentence);
  });
}

TEST_P(BleuGoldenTest, Corpus) {
  const BleuVariant& variant = GetParam().variant;
  BleuCounts sum;
  for (const auto& example : MetricsGolden()["examples"])
    sum += CountBleu(example[0].get<std::string>(), example[1].get<std::string>(), variant);
  EXPECT_NEAR(Bleu(sum, variant.corpus), GoldenCorpus(GetParam().figure), 1e-6);
}

INSTANTIATE_TEST_SUITE_P(Variants, BleuGoldenTest,
                         ::testing::Values(Golden{"conala", kConalaBleu},
                                           Golden{"codexglue", kCodeXglueBleu},
                                           Golden{"huggingface", kHuggingFaceBleu},
                                           Golden{"sacrebleu", kSacreBleu}),
                         [](const auto& info) { return std::string(info.param.figure); });

// The vectors of sacrebleu's own tests (test/test_bleu.py) that need neither several references nor
// another smoothing.
TEST(SacreBleuVectorsTest, Scores) {
  const BleuCounts counts{{9, 7, 5, 3}, {10, 8, 6, 4}, 11, 11};
  EXPECT_NEAR(Bleu(counts, kSacreBleu.corpus), 0.8375922397, 1e-8);
  const auto identical = CountBleu("this is a test", "this is a test", kSacreBleu);
  EXPECT_EQ(Bleu(identical, kSacreBleu.corpus), 1);
}

TEST(SacreBleuVectorsTest, EffectiveOrder) {
  EXPECT_NEAR(SentenceBleu(Count("test", "a test")), 0.3678794411714425, 1e-12);
  EXPECT_EQ(SentenceBleu(Count("a test", "a test")), 1);
}

TEST(SacreBleuVectorsTest, NothingInCommonIsZero) {
  for (const BleuCounts& counts : {BleuCounts{{0, 0, 0, 0}, {4, 4, 2, 1}, 0, 1},
                                   {{0, 0, 0, 0}, {10, 11, 12, 0}, 14, 10},
                                   {{0, 0, 0, 0}, {0, 0, 0, 0}, 0, 0},
                                   {{0, 0, 0, 0}, {0, 0, 0, 0}, 1, 5}}) {
    EXPECT_EQ(Bleu(counts, kSacreBleu.corpus), 0);
  }
}

}  // namespace
}  // namespace ddpt
