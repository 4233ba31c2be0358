#include "core/evaluation/chrf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/core/evaluation/golden_pairs.h"

namespace ddpt {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

TEST(ChrfTest, CountsAreClippedByTheReference) {
  const ChrfCounts counts = CountChrf("aaab", "aab");
  EXPECT_THAT(counts.matches, ElementsAre(3, 2, 1, 0, 0, 0));
  EXPECT_THAT(counts.prediction, ElementsAre(4, 3, 2, 0, 0, 0));
  EXPECT_THAT(counts.reference, ElementsAre(3, 2, 1, 0, 0, 0));
}

TEST(ChrfTest, WhiteSpaceIsNotSeen) {
  EXPECT_EQ(Chrf(CountChrf("x = 1\r\n\ty\u00a0=\u20092", "x=1 y=2")), 1);
  EXPECT_THAT(CountChrf(" \x1c\n\u3000", "x").prediction, Each(0));
}

TEST(ChrfTest, CaseIsKept) { EXPECT_EQ(Chrf(CountChrf("abc", "ABC")), 0); }

TEST(ChrfTest, CharactersAreCodePoints) {
  EXPECT_THAT(CountChrf("größe", "größe").matches, ElementsAre(5, 4, 3, 2, 1, 0));
  EXPECT_THAT(CountChrf("😀", "😀").matches, ElementsAre(1, 0, 0, 0, 0, 0));
}

TEST(ChrfTest, EachIllFormedSubpartIsOneReplacementCharacter) {
  // A stray continuation, an overlong form's two bytes, and a character that breaks off.
  EXPECT_EQ(Chrf(CountChrf("a\x80"
                           "b\xc0\xaf"
                           "c\xe2\x82",
                           "a\ufffdb\ufffd\ufffdc\ufffd")),
            1);
}

TEST(ChrfTest, IdenticalTextsScoreOneHoweverShort) {
  for (const char* code : {"x", "f(x", "f(x)", "def f(x): return x"}) {
    EXPECT_EQ(Chrf(CountChrf(code, code)), 1) << code;
  }
}

// The vectors of sacrebleu's own tests (test/test_chrf.py) that need neither its smoothing nor
// another beta.
TEST(ChrfTest, AgreesWithSacrebleusOwnTests) {
  EXPECT_EQ(Chrf(CountChrf("abcdefg", "hijklmnop")), 0);
  EXPECT_EQ(Chrf(CountChrf("", "reference")), 0);
  EXPECT_EQ(Chrf(CountChrf("a", "a")), 1);
  EXPECT_EQ(Chrf(CountChrf("a b c", "abc")), 1);
  EXPECT_EQ(Chrf(CountChrf("aa", "ab")), 0.25);
  ChrfCounts sum = CountChrf("a", "a");
  sum += CountChrf("b", "c");
  EXPECT_EQ(Chrf(sum), 0.5);
}

TEST(ChrfTest, AgreesWithSacrebleu) {
  const nlohmann::json cases =
      nlohmann::json::parse(std::ifstream(DDPT_TEST_DATA "/chrf_golden.json"));
  ASSERT_GT(cases.size(), 40u);
  for (const auto& entry : cases) {
    ChrfCounts sum;
    for (size_t i = 0; i < entry["pairs"].size(); ++i) {
      const ChrfCounts counts = CountChrf(entry["pairs"][i][0].get<std::string>(),
                                          entry["pairs"][i][1].get<std::string>());
      EXPECT_NEAR(Chrf(counts), entry["sentences"][i].get<double>(), 1e-9) << entry["pairs"][i];
      sum += counts;
    }
    EXPECT_NEAR(Chrf(sum), entry["corpus"].get<double>(), 1e-9) << entry["pairs"];
  }
}

TEST(ChrfTest, GoldenPairs) {
  ChrfCounts sum;
  ExpectGolden("chrf", [&](const std::string& prediction, const std::string& reference) {
    const ChrfCounts counts = CountChrf(prediction, reference);
    sum += counts;
    return Chrf(counts);
  });
  EXPECT_NEAR(Chrf(sum), GoldenCorpus("chrf"), 1e-6);
}

}  // namespace
}  // namespace ddpt
