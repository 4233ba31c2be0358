#include "core/base/team.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

namespace ddpt {
namespace {

HelperThreads HelpersOf(Team& team, size_t count) {
  return HelperThreads(count, [&team](HelperThreads::Leave leave) { team.Help(leave); });
}

void WaitForHelpers(const Team& team, size_t count) {
  while (team.helpers() < count) std::this_thread::yield();
}

// Runs until `body` has seen `parts` members.
template <typename Body>
void RunWith(Team& team, size_t parts, const Body& body) {
  size_t seen = 0;
  while (seen < parts) {
    WaitForHelpers(team, parts - 1);
    team.Run([&](Team::Member& member) {
      if (member.part() == 0) seen = member.parts();
      body(member);
    });
  }
}

TEST(TeamTest, AloneTheLeaderIsTheOnlyPart) {
  Team team;
  int calls = 0;
  team.Run([&](Team::Member& member) {
    ++calls;
    EXPECT_EQ(member.part(), 0u);
    EXPECT_EQ(member.parts(), 1u);
    member.Sync();
  });
  EXPECT_EQ(calls, 1);
}

TEST(TeamTest, EveryPartRunsOnce) {
  for (const size_t parts : {2, 4}) {
    Team team;
    const HelperThreads helpers = HelpersOf(team, parts - 1);
    std::array<std::atomic<int>, 4> calls{};
    RunWith(team, parts, [&](Team::Member& member) {
      if (member.parts() == parts) ++calls[member.part()];
    });
    for (size_t part = 0; part < 4; ++part) EXPECT_EQ(calls[part], part < parts ? 1 : 0);
  }
}

TEST(TeamTest, AfterSyncEveryMemberReadsWhatTheOthersWrote) {
  constexpr size_t kParts = 3;
  Team team;
  const HelperThreads helpers = HelpersOf(team, kParts - 1);
  std::array<int, kParts> written{}, sums{};
  RunWith(team, kParts, [&](Team::Member& member) {
    for (int round = 1; round <= 200; ++round) {
      written[member.part()] = round;
      member.Sync();
      int sum = 0;
      for (size_t part = 0; part < member.parts(); ++part) sum += written[part];
      if (sum == round * static_cast<int>(member.parts())) ++sums[member.part()];
      member.Sync();
    }
  });
  for (const int sum : sums) EXPECT_EQ(sum % 200, 0);
  EXPECT_GE(sums[2], 200);
}

TEST(TeamTest, WhatHelpersWroteCanBeReadAfterRun) {
  Team team;
  const HelperThreads helpers = HelpersOf(team, 1);
  std::array<int, 2> written{};
  RunWith(team, 2, [&](Team::Member& member) { written[member.part()] = 7; });
  EXPECT_EQ(written[1], 7);
}

TEST(TeamTest, AHelperLeavesWhenTold) {
  Team team;
  team.Help([] { return true; });
  EXPECT_EQ(team.helpers(), 0u);
}

TEST(TeamTest, AHelperWithoutARunLeavesByItself) {
  Team team;
  team.Help([] { return false; });
  EXPECT_EQ(team.helpers(), 0u);
}

TEST(TeamTest, HelpersBeyondTheSeatsReturnAtOnce) {
  Team team;
  {
    const HelperThreads helpers = HelpersOf(team, Team::kMaxHelpers);
    bool asked = true;
    while (asked) {
      WaitForHelpers(team, Team::kMaxHelpers);
      asked = false;
      team.Help([&] { return asked = true; });
    }
  }
  EXPECT_EQ(team.helpers(), 0u);
}

TEST(TeamScopeTest, WhatIsSharedOutIsDoneOnceEach) {
  Team team;
  const HelperThreads helpers = HelpersOf(team, 2);
  WaitForHelpers(team, 2);
  const TeamScope scope(team);
  std::array<std::atomic<int>, 100> calls{};
  ShareOut(calls.size(), [&](size_t i) { ++calls[i]; });
  for (const auto& count : calls) EXPECT_EQ(count, 1);
}

TEST(TeamScopeTest, HelpersTakeTheirShare) {
  Team team;
  const HelperThreads helpers = HelpersOf(team, 1);
  const TeamScope scope(team);
  WaitForHelpers(team, 1);
  std::array<std::thread::id, 2> threads;
  std::atomic<int> begun{0};
  ShareOut(2, [&](size_t i) {  // neither ends before the other has begun
    threads[i] = std::this_thread::get_id();
    ++begun;
    while (begun < 2) std::this_thread::yield();
  });
  EXPECT_NE(threads[0], threads[1]);
}

TEST(TeamScopeTest, AHelperStaysWithoutARunUntilTold) {
  Team team;
  const TeamScope scope(team);
  int asked = 0;
  team.Help([&] { return ++asked == 100'000; });
  EXPECT_EQ(asked, 100'000);
}

TEST(TeamScopeTest, WhatACallThrowsComesBack) {
  Team team;
  const HelperThreads helpers = HelpersOf(team, 1);
  WaitForHelpers(team, 1);
  const TeamScope scope(team);
  EXPECT_THROW(ShareOut(10, [](size_t) { throw std::runtime_error("no memory"); }),
               std::runtime_error);
  EXPECT_TRUE(MayShareOut());
}

TEST(TeamScopeTest, NothingIsSharedOutInside) {
  Team team;
  EXPECT_FALSE(MayShareOut());
  const TeamScope scope(team);
  EXPECT_TRUE(MayShareOut());
  ShareOut(1, [](size_t) { EXPECT_FALSE(MayShareOut()); });
}

}  // namespace
}  // namespace ddpt
