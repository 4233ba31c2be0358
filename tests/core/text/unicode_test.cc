#include "core/text/unicode.h"

#include <gtest/gtest.h>

#include "core/text/byte_symbols.h"

namespace ddpt {
namespace {

TEST(CharClassesTest, KnowsTheFourClasses) {
  EXPECT_EQ(CharClasses('a'), kLetter | kWord);
  EXPECT_EQ(CharClasses('7'), kNumber | kWord);
  EXPECT_EQ(CharClasses('\t'), kSpace);
  EXPECT_EQ(CharClasses('_'), kWord);
  EXPECT_EQ(CharClasses('+'), 0);
  EXPECT_EQ(CharClasses(0x00B2), kNumber);          // superscript two: no \w
  EXPECT_EQ(CharClasses(0x2167), kNumber | kWord);  // Roman numeral
  EXPECT_EQ(CharClasses(0x0301), kWord);            // combining acute
  EXPECT_EQ(CharClasses(0x24B6), kWord);            // circled A
  EXPECT_EQ(CharClasses(0x4E2D), kLetter | kWord);  // inside the range of ideographs
  EXPECT_EQ(CharClasses(0x3000), kSpace);           // ideographic space
  EXPECT_EQ(CharClasses(0x200B), 0);                // zero-width space
}

TEST(CharClassesTest, IsOfUnicode16) {
  EXPECT_EQ(CharClasses(0x1C89), kLetter | kWord);  // came with 16.0
  EXPECT_EQ(CharClasses(0x323B0), 0);               // came with 17.0
}

TEST(CharClassesTest, CountsOfEveryClass) {
  int letters = 0, numbers = 0, spaces = 0;
  for (char32_t code = 0; code < 0x110000; ++code) {
    letters += (CharClasses(code) & kLetter) != 0;
    numbers += (CharClasses(code) & kNumber) != 0;
    spaces += (CharClasses(code) & kSpace) != 0;
  }
  EXPECT_EQ(letters, 141028);
  EXPECT_EQ(numbers, 1911);
  EXPECT_EQ(spaces, 25);
}

TEST(NextCharTest, ReadsWhatAppendUtf8Writes) {
  for (char32_t code = 0; code < 0x110000; ++code) {
    if (code >= 0xD800 && code < 0xE000) continue;
    std::string text;
    AppendUtf8(code, &text);
    const Utf8Char next = NextChar(text);
    ASSERT_EQ(next.state, Utf8Char::kValid) << uint32_t{code};
    ASSERT_TRUE(next.code == code);
    ASSERT_EQ(next.length, text.size());
    ASSERT_TRUE(LastChar("x" + text) == code);
  }
}

TEST(NextCharTest, TellsIncompleteFromInvalid) {
  EXPECT_EQ(NextChar("\xE2\x82").state, Utf8Char::kIncomplete);
  EXPECT_EQ(NextChar("\xE2\x82x").state, Utf8Char::kInvalid);
  EXPECT_EQ(NextChar("\xE2\x82x").length, 2);
  EXPECT_EQ(NextChar("\xED\xA0").state, Utf8Char::kInvalid);  // a surrogate
  EXPECT_EQ(NextChar("\xC0\x80").state, Utf8Char::kInvalid);  // overlong
  EXPECT_EQ(NextChar("\xF4\x90").state, Utf8Char::kInvalid);  // over U+10FFFF
}

// The example of the Unicode standard, table 3-11 and its neighbours.
TEST(ReplaceInvalidUtf8Test, ReplacesMaximalSubparts) {
  EXPECT_EQ(ReplaceInvalidUtf8("\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64"),
            "a\uFFFD\uFFFD\uFFFDb\uFFFDc\uFFFD\uFFFDd");
  EXPECT_EQ(ReplaceInvalidUtf8("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"),
            "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDA");
  EXPECT_EQ(ReplaceInvalidUtf8("\xF0\x9F\x98"), "\uFFFD");
}

TEST(ByteSymbolsTest, GoBothWaysForEveryByte) {
  std::string bytes;
  for (int byte = 0; byte < 256; ++byte) bytes += static_cast<char>(byte);
  EXPECT_EQ(BytesOfSymbols(SymbolsOfBytes(bytes)), bytes);
  EXPECT_EQ(SymbolsOfBytes(" a\n"), "ĠaĊ");
}

TEST(ByteSymbolsTest, LeaveOtherTokensAlone) {
  EXPECT_EQ(BytesOfSymbols("<｜end｜>"), "<｜end｜>");
}

}  // namespace
}  // namespace ddpt
