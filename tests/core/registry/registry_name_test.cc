#include "core/base/status.h"
#include "core/registry/registry.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ddpt {
namespace {

using ::testing::HasSubstr;

TEST(TaskNameTest, AcceptsLettersDigitsAndInnerDashes) {
  for (const char* name : {"a", "0", "text-to-sql", "a-", "7b--x"}) {
    EXPECT_TRUE(CheckTaskName(name).ok()) << name;
  }
  EXPECT_TRUE(CheckTaskName(std::string(63, 'a')).ok());
}

TEST(TaskNameTest, RefusesEverythingElse) {
  for (const std::string& name :
       {std::string(), std::string("-a"), std::string("A"), std::string("a_b"), std::string("a/b"),
        std::string(".."), std::string("a\0b", 3), std::string("\xc3\xa4"), std::string(64, 'a')}) {
    EXPECT_EQ(FieldOf(CheckTaskName(name)), "task") << name;
  }
}

TEST(TaskNameTest, ErrorShowsTheNameSafelyAndShort) {
  EXPECT_THAT(CheckTaskName("a\nb").message(), HasSubstr("\"a\\nb\" does not match [a-z0-9]"));
  EXPECT_LT(CheckTaskName(std::string(1'000'000, 'A')).message().size(), 200u);
}

}  // namespace
}  // namespace ddpt
