#include "core/evaluation/ngrams.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <random>
#include <vector>

namespace ddpt {
namespace {

using ::testing::ElementsAre;
using Symbols = std::vector<uint32_t>;

std::array<uint64_t, 3> Common(const Symbols& some, const Symbols& others) {
  std::array<uint64_t, 3> common;
  CountCommonNgrams(some, others, common);
  return common;
}

TEST(NgramsTest, EachCountsAsOftenAsBothHaveIt) {
  EXPECT_THAT(Common({1, 1, 1, 2}, {1, 1, 2}), ElementsAre(3, 2, 1));
  EXPECT_THAT(Common({1, 1, 2}, {1, 1, 1, 2}), ElementsAre(3, 2, 1));
}

TEST(NgramsTest, ShortSequencesHaveNoLongOnes) {
  EXPECT_THAT(Common({5, 6}, {5, 6}), ElementsAre(2, 1, 0));
  EXPECT_THAT(Common({}, {5}), ElementsAre(0, 0, 0));
  EXPECT_THAT(Common({5}, {}), ElementsAre(0, 0, 0));
}

TEST(NgramsTest, AgreesWithCountingInAMap) {
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    Symbols some(random() % 90), others(random() % 90);
    for (Symbols* symbols : {&some, &others}) {
      for (uint32_t& symbol : *symbols) symbol = random() % 7 * 0x1000001;
    }
    for (size_t order = 1; order <= 3; ++order) {
      std::map<Symbols, std::array<uint64_t, 2>> counts;
      for (size_t i = 0; i + order <= some.size(); ++i)
        ++counts[Symbols(some.begin() + i, some.begin() + i + order)][0];
      for (size_t i = 0; i + order <= others.size(); ++i)
        ++counts[Symbols(others.begin() + i, others.begin() + i + order)][1];
      uint64_t wanted = 0;
      for (const auto& [ngram, count] : counts) wanted += std::min(count[0], count[1]);
      EXPECT_EQ(Common(some, others)[order - 1], wanted);
    }
  }
}

}  // namespace
}  // namespace ddpt
