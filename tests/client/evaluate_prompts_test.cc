#include "client/evaluate_prompts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/status.h"

namespace ddpt {
namespace {

TEST(ParseContenderTest, ATaskMayHaveSteps) {
  const auto contender = ParseContender("task:house@20");
  ASSERT_TRUE(contender.ok()) << contender.status();
  EXPECT_EQ(contender->name(), "task:house@20");
  EXPECT_EQ(contender->prompt().task(), "house");
  EXPECT_EQ(contender->sampling().steps(), 20u);
  EXPECT_FALSE(ParseContender("task:house")->has_sampling());
}

TEST(ParseContenderTest, ANameStandsBeforeIt) {
  const auto contender = ParseContender("by hand=text:a = b @ c");
  ASSERT_TRUE(contender.ok()) << contender.status();
  EXPECT_EQ(contender->name(), "by hand");
  EXPECT_EQ(contender->prompt().text(), "a = b @ c");
}

TEST(ParseContenderTest, WhatIsNoneIsRefused) {
  EXPECT_EQ(FieldOf(ParseContender("words").status()), "contender");
  EXPECT_THAT(std::string(ParseContender("task:house@many").status().message()),
              testing::HasSubstr("\"many\" is no number of steps"));
}

}  // namespace
}  // namespace ddpt
