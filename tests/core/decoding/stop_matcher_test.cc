#include "core/decoding/stop_matcher.h"

#include <gtest/gtest.h>

namespace ddpt {
namespace {

TEST(StopMatcherTest, ReleasesAtOnceWhatCannotBecomeAStop) {
  StopMatcher matcher({"\ndef"});
  EXPECT_EQ(matcher.Push("x = 1"), "x = 1");
  EXPECT_EQ(matcher.Push("\nde"), "");
  EXPECT_EQ(matcher.Push("l x"), "\ndel x");
}

TEST(StopMatcherTest, FindsAStopInEverySplitOfTheText) {
  const std::string text = "a\n\ndef f";
  for (size_t first = 0; first < text.size(); ++first) {
    for (size_t second = first; second < text.size(); ++second) {
      StopMatcher matcher({"\ndef"});
      std::string released = matcher.Push(text.substr(0, first));
      released += matcher.Push(text.substr(first, second - first));
      released += matcher.Push(text.substr(second));
      EXPECT_EQ(released, "a\n");
      EXPECT_TRUE(matcher.stopped());
    }
  }
}

TEST(StopMatcherTest, TheEarliestOfSeveralWins) {
  StopMatcher matcher({"two", "one"});
  EXPECT_EQ(matcher.Push("zero one two"), "zero ");
  EXPECT_TRUE(matcher.stopped());
  EXPECT_EQ(matcher.Push("more"), "");
}

TEST(StopMatcherTest, HoldsTheLongestBeginningOfAnyStop) {
  StopMatcher matcher({"aab", "ba"});
  EXPECT_EQ(matcher.Push("aaa"), "a");
  EXPECT_EQ(matcher.Push("c"), "aac");
  EXPECT_FALSE(matcher.stopped());
}

TEST(StopMatcherTest, FlushGivesWhatIsHeld) {
  StopMatcher matcher({"END"});
  EXPECT_EQ(matcher.Push("the EN"), "the ");
  EXPECT_EQ(matcher.Flush(), "EN");
  EXPECT_EQ(matcher.Flush(), "");
}

TEST(StopMatcherTest, WithoutStopsNothingIsHeld) {
  StopMatcher matcher({});
  EXPECT_EQ(matcher.Push("é"), "é");
  EXPECT_FALSE(matcher.stopped());
}

}  // namespace
}  // namespace ddpt
