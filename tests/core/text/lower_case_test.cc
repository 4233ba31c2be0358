#include "core/text/lower_case.h"

#include <gtest/gtest.h>

namespace ddpt {
namespace {

TEST(LowerCaseTest, AsciiAndOtherScripts) {
  EXPECT_EQ(LowerCase("Get_X2(\"Z\")\n"), "get_x2(\"z\")\n");
  EXPECT_EQ(LowerCase("ÄÖÜß Ελληνικά ПРИВЕТ Āā"), "äöüß ελληνικά привет āā");
  EXPECT_EQ(LowerCase("\U00010400 \U0001f600"), "\U00010428 \U0001f600");
}

TEST(LowerCaseTest, CharactersThatBecomeOthersOfAscii) {
  EXPECT_EQ(LowerCase("\u212a"), "k");
  EXPECT_EQ(LowerCase("\u0130"), "i\u0307");
}

TEST(LowerCaseTest, EverySecondLetterOfARange) {
  EXPECT_EQ(LowerCase("\u0100\u0101\u012e\u012f"), "\u0101\u0101\u012f\u012f");
}

TEST(LowerCaseTest, IllFormedBytesAreReplaced) { EXPECT_EQ(LowerCase("A\xff"), "a\ufffd"); }

}  // namespace
}  // namespace ddpt
