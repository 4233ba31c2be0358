#include "core/text/words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ddpt {
namespace {

using testing::ElementsAre;

TEST(SplitWordsTest, SeparatesLettersNumbersAndSymbols) {
  EXPECT_THAT(SplitWords("x1+=22 foo()"), ElementsAre("x", "1", "+=", "22", " foo", "()"));
}

TEST(SplitWordsTest, CutsContractionsOnlyAtTheStartOfAWord) {
  EXPECT_THAT(SplitWords("it's we'll I'd"), ElementsAre("it", "'s", " we", "'ll", " I", "'d"));
  EXPECT_THAT(SplitWords("''s 're 'S"), ElementsAre("''", "s", " '", "re", " '", "S"));
}

TEST(SplitWordsTest, LeavesOneSpaceToTheNextWord) {
  EXPECT_THAT(SplitWords("a   b"), ElementsAre("a", "  ", " b"));
  EXPECT_THAT(SplitWords("a\n\n b"), ElementsAre("a", "\n\n", " b"));
  EXPECT_THAT(SplitWords("a \n\tb"), ElementsAre("a", " \n", "\t", "b"));
}

TEST(SplitWordsTest, KeepsSpacesAtTheEndTogether) {
  EXPECT_THAT(SplitWords("a  \r\n"), ElementsAre("a", "  \r\n"));
  EXPECT_THAT(SplitWords(" "), ElementsAre(" "));
  EXPECT_THAT(SplitWords(""), ElementsAre());
}

TEST(SplitWordsTest, StepsOverWholeWideSpaces) {
  EXPECT_THAT(SplitWords("\u3000\u2003x"), ElementsAre("\u3000", "\u2003", "x"));
}

}  // namespace
}  // namespace ddpt
