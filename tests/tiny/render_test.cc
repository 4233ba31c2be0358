#include "deploy/tiny/render.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ddpt::tiny {
namespace {

std::string Show(const Placeholder& slot) {
  return "<" + slot.name + std::to_string(slot.piece) + ">";
}

TEST(RenderTest, ExpandsWholeValuesAndPieces) {
  EXPECT_EQ(Expand("SELECT @list.2 FROM @list.1; @list", Show),
            "SELECT <list2> FROM <list1>; <list0>");
}

TEST(RenderTest, DotsThatNameNoPieceStayText) {
  EXPECT_EQ(Expand("cat @file.txt > @copy.", Show), "cat <file0>.txt > <copy0>.");
}

TEST(RenderTest, AnAtSignAloneIsAPlaceholderWithoutName) {
  EXPECT_THAT(Placeholders("a@ b"), testing::ElementsAre(testing::Field(&Placeholder::name, "")));
}

TEST(RenderTest, WritesIdentifiersUnderBothNamings) {
  EXPECT_EQ(Identifier("sort by value", Naming::kSnake), "sort_by_value");
  EXPECT_EQ(Identifier("sort by value", Naming::kCamel), "sortByValue");
}

}  // namespace
}  // namespace ddpt::tiny
