#include "core/text/added_tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace ddpt {
namespace {

using testing::ElementsAre;

AddedToken Token(std::string content, uint32_t id) {
  AddedToken token;
  token.content = std::move(content);
  token.id = id;
  return token;
}

// "[3]" for token 3, the text itself for what lies between.
std::vector<std::string> Split(std::vector<AddedToken> tokens, std::string_view text) {
  std::vector<std::string> shown;
  for (const AddedTokens::Piece& piece : AddedTokens(std::move(tokens)).Split(text)) {
    shown.emplace_back(piece.text);
    if (piece.id.has_value()) shown.back() = absl::StrCat("[", *piece.id, "]");
  }
  return shown;
}

TEST(AddedTokensTest, TakesTheLeftmostThenTheLongest) {
  EXPECT_THAT(Split({Token("ab", 0), Token("abc", 1), Token("bcd", 2)}, "xabcd bcd"),
              ElementsAre("x", "[1]", "d ", "[2]"));
}

TEST(AddedTokensTest, MatchesLiteralTokensBeforeNormalizedOnes) {
  AddedToken normalized = Token("ab", 0);
  normalized.normalized = true;
  EXPECT_THAT(Split({normalized, Token("bc", 1)}, "abcab"), ElementsAre("a", "[1]", "[0]"));
}

TEST(AddedTokensTest, StripTakesWhitespaceOfAnyKind) {
  AddedToken left = Token("<l>", 0), right = Token("<r>", 1);
  left.lstrip = true;
  right.rstrip = true;
  EXPECT_THAT(Split({left, right}, "a \t\u3000<l> b <r>\n c"),
              ElementsAre("a", "[0]", " b ", "[1]", "c"));
}

TEST(AddedTokensTest, SingleWordWantsNoWordCharacterBeside) {
  AddedToken word = Token("foo", 0);
  word.single_word = true;
  EXPECT_THAT(Split({word}, "foo,foo"), ElementsAre("[0]", ",", "[0]"));
  EXPECT_THAT(Split({word}, "xfoo foo_ éfoo"), ElementsAre("xfoo foo_ éfoo"));
}

TEST(AddedTokensTest, AFailedSingleWordHidesShorterTokens) {
  AddedToken word = Token("foobar", 0);
  word.single_word = true;
  EXPECT_THAT(Split({word, Token("foo", 1)}, "foobarx foo"), ElementsAre("foobarx ", "[1]"));
}

TEST(AddedTokensTest, FindsNothingInEmptyText) {
  EXPECT_THAT(Split({Token("a", 0)}, ""), ElementsAre());
}

}  // namespace
}  // namespace ddpt
