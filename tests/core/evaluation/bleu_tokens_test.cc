#include "core/evaluation/bleu_tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

TEST(ConalaTokensTest, PartsWordsWhereACapitalFollowsASmallLetter) {
  EXPECT_THAT(ConalaTokens("getHTTPName2Id(a_B)"),
              ElementsAre("get", "HTTPName2Id", "(", "a_B", ")"));
}

TEST(ConalaTokensTest, BothQuotesAreOne) {
  EXPECT_THAT(ConalaTokens("f('a', \"b\")"),
              ElementsAre("f", "(", "`", "a", "`", ",", "`", "b", "`", ")"));
}

TEST(ConalaTokensTest, OtherLettersStandAlone) {
  EXPECT_THAT(ConalaTokens("grö\u00a0ße"), ElementsAre("gr", "ö", "ß", "e"));
}

TEST(Tokens13aTest, MarksAreTokensApostrophesAndDashesAreNot) {
  EXPECT_THAT(Tokens13a("a[i]=it's-b/c"), ElementsAre("a", "[", "i", "]", "=", "it's-b", "/", "c"));
}

TEST(Tokens13aTest, StopsWithinNumbersStay) {
  EXPECT_THAT(Tokens13a("1,000.5 a.b 7. .5"),
              ElementsAre("1,000.5", "a", ".", "b", "7", ".", ".", "5"));
}

TEST(Tokens13aTest, ADashAfterADigitIsAToken) {
  EXPECT_THAT(Tokens13a("1-2 a-b"), ElementsAre("1", "-", "2", "a-b"));
}

TEST(Tokens13aTest, MarkupIsReplacedInOrder) {
  EXPECT_THAT(Tokens13a("a<skipped>b &amp;lt; &quot;"), ElementsAre("ab", "<", "\""));
  EXPECT_THAT(Tokens13a("re-\nused\nx"), ElementsAre("reused", "x"));
}

TEST(Tokens13aTest, TrimmedKeepsALastDash) {
  EXPECT_THAT(Tokens13a("x -\n"), ElementsAre("x"));
  EXPECT_THAT(TrimmedTokens13a("x -\n \u3000"), ElementsAre("x", "-"));
}

}  // namespace
}  // namespace ddpt
