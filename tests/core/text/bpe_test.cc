#include "core/text/bpe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace ddpt {
namespace {

using testing::ElementsAre;

// Bytes are their own ids; merged tokens start at 256.
std::vector<uint32_t> Merge(const std::vector<BpeMerge>& merges, std::string_view word) {
  std::array<uint32_t, 256> byte_ids;
  for (uint32_t byte = 0; byte < 256; ++byte) byte_ids[byte] = byte;
  std::vector<uint32_t> ids;
  Bpe(byte_ids, merges).AppendIds(std::vector{word}, &ids);
  return ids;
}

TEST(BpeTest, MergesTheLowestRankFirst) {
  EXPECT_THAT(Merge({{'b', 'c', 256}, {'a', 'b', 257}}, "abc"), ElementsAre('a', 256));
  EXPECT_THAT(Merge({{'a', 'b', 257}, {'b', 'c', 256}}, "abc"), ElementsAre(257, 'c'));
}

TEST(BpeTest, MergesEqualRanksFromTheLeft) {
  EXPECT_THAT(Merge({{'a', 'a', 256}}, "aaaaa"), ElementsAre(256, 256, 'a'));
}

TEST(BpeTest, MergesWhatMergesMade) {
  EXPECT_THAT(Merge({{'a', 'b', 256}, {256, 'c', 257}, {257, 257, 258}}, "abcabcab"),
              ElementsAre(258, 256));
}

TEST(BpeTest, TakesTheLaterOfTwoRanks) {
  EXPECT_THAT(Merge({{'a', 'b', 256}, {'b', 'c', 257}, {'a', 'b', 258}}, "abc"),
              ElementsAre('a', 257));
}

// 2^20 bytes in one word: a quadratic algorithm would not come back.
TEST(BpeTest, MergesAMegabyteInOneWord) {
  std::vector<BpeMerge> merges = {{'a', 'a', 256}};
  for (uint32_t id = 256; id < 275; ++id) merges.push_back({id, id, id + 1});
  EXPECT_THAT(Merge(merges, std::string(1 << 20, 'a')), ElementsAre(275));
}

}  // namespace
}  // namespace ddpt
