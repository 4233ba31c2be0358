#include "core/base/pause.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <thread>

namespace ddpt {
namespace {

TEST(PauseTest, WithoutAScopeNothingHappens) {
  EXPECT_FALSE(MayPause());
  PausePoint();
}

TEST(PauseTest, TheInnermostScopeCounts) {
  int outer = 0, inner = 0;
  const PauseScope first([&] { ++outer; });
  {
    const PauseScope second([&] { ++inner; });
    PausePoint();
  }
  PausePoint();
  EXPECT_EQ(outer, 1);
  EXPECT_EQ(inner, 1);
}

TEST(PauseTest, WhatHappensAtAPauseIsNotPaused) {
  int pauses = 0;
  const PauseScope scope([&] {
    ++pauses;
    PausePoint();
  });
  PausePoint();
  EXPECT_EQ(pauses, 1);
}

TEST(PauseTest, AfterAnExceptionTheScopeIsStillThere) {
  const PauseScope scope([] { throw std::runtime_error("no"); });
  EXPECT_THROW(PausePoint(), std::runtime_error);
  EXPECT_TRUE(MayPause());
}

TEST(PauseTest, OtherThreadsHaveTheirOwn) {
  const PauseScope scope([] {});
  bool may_pause = true;
  std::thread([&] { may_pause = MayPause(); }).join();
  EXPECT_FALSE(may_pause);
}

}  // namespace
}  // namespace ddpt
