#include "core/model/habits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace ddpt {
namespace {

using testing::HasSubstr;

TEST(HabitsTest, EveryPresetHasANameOfItsOwnAndASource) {
  std::set<std::string_view> names;
  for (const Habits& habits : AllHabits()) {
    EXPECT_TRUE(names.insert(habits.name).second) << habits.name;
    EXPECT_FALSE(habits.source.empty()) << habits.name;
    EXPECT_EQ(FindHabits(habits.name)->name, habits.name);
  }
}

TEST(HabitsTest, UnknownNameIsRefusedWithThoseThatThereAre) {
  const absl::Status status = FindHabits("gpt").status();
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("habits: \"gpt\" is none of t5, codet5p, codet5p-humaneval"));
}

TEST(HabitsTest, InstructCheckpointsAreKnownByTheirName) {
  EXPECT_EQ(ParallelHabits("Salesforce/instructcodet5p-16b").name, "instructcodet5p");
  EXPECT_EQ(ParallelHabits("models--Salesforce--InstructCodeT5p-16B").name, "instructcodet5p");
  EXPECT_EQ(ParallelHabits("codet5p-2b").name, "codet5p");
}

}  // namespace
}  // namespace ddpt
