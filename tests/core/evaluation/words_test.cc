#include "core/evaluation/words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ddpt {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(WordsTest, AreWhatPythonSplits) {
  EXPECT_THAT(SplitWords(" a\tb\u00a0c\u2003d\u3000e\u0085f\x1cg\r\n"),
              ElementsAre("a", "b", "c", "d", "e", "f", "g"));
  EXPECT_THAT(SplitWords("a\u200b\ufeff"), ElementsAre("a\u200b\ufeff"));
  EXPECT_THAT(SplitWords(" \n\u3000"), IsEmpty());
}

TEST(WordsTest, TrailingSpaceGoes) {
  EXPECT_EQ(WithoutTrailingSpace(" a b \u2028\n"), " a b");
  EXPECT_EQ(WithoutTrailingSpace("\u3000"), "");
}

TEST(WordsTest, EqualTokensHaveEqualNumbers) {
  const NumberedTokens tokens = NumberTokens({"c", "a", "d"}, {"a", "b", "a"});
  EXPECT_THAT(tokens.reference, ElementsAre(0, 1, 0));
  EXPECT_THAT(tokens.prediction, ElementsAre(2, 0, 3));
  EXPECT_EQ(tokens.reference_kinds, 2u);
}

}  // namespace
}  // namespace ddpt
