#include "core/evaluation/code_comments.h"

#include <gtest/gtest.h>

namespace ddpt {
namespace {

std::string Python(std::string_view code) { return WithoutComments(code, CodeLanguage::kPython); }
std::string Java(std::string_view code) { return WithoutComments(code, CodeLanguage::kJava); }

TEST(CodeCommentsTest, PythonLosesCommentsDocstringsAndBlankLines) {
  EXPECT_EQ(Python("'''module'''\n\n# one\nx = 'a # b'  # two\n"), "x = 'a # b'  ");
  EXPECT_EQ(Python("def f():\n    \"\"\"Long\n    one.\"\"\"\n    return \"s\""),
            "def f():\n    return \"s\"");
}

TEST(CodeCommentsTest, PythonJoinsContinuedLines) {
  EXPECT_EQ(Python("x = 1 + \\\n  2"), "x = 1 +  2");
}

TEST(CodeCommentsTest, PythonThatItsTokenizerRefusesStays) {
  EXPECT_EQ(Python("x = (1  # open"), "x = (1  # open");
  EXPECT_EQ(Python("if a:\n    b\n  c  # d"), "if a:\n    b\n  c  # d");
  EXPECT_EQ(Python("'''a  # b"), "'''a  # b");
}

TEST(CodeCommentsTest, AStringThatEndsNowhereIsNone) { EXPECT_EQ(Python("x = 'a # b"), "x = 'a "); }

TEST(CodeCommentsTest, OthersLoseSlashComments) {
  EXPECT_EQ(Java("a /* b\n c */ d // e\n\nf"), "a   d  \nf");
  EXPECT_EQ(Java("s = \"// no\" + '/*' // yes"), "s = \"// no\" + '/*'  ");
  EXPECT_EQ(Java("a /* b"), "a /* b");
  EXPECT_EQ(Java("it's // gone"), "it's  ");
}

}  // namespace
}  // namespace ddpt
