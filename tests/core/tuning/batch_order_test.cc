#include "core/tuning/batch_order.h"

#include <gtest/gtest.h>

#include <set>

namespace ddpt {
namespace {

TEST(BatchOrderTest, VisitsEachExampleOnceAnEpoch) {
  BatchOrder order(1, 10);
  std::multiset<uint64_t> seen;
  for (uint64_t step = 0; step < 5; ++step) {
    for (const uint64_t index : order.Batch(step, 4)) seen.insert(index);
  }
  for (uint64_t index = 0; index < 10; ++index) EXPECT_EQ(seen.count(index), 2u) << index;
}

TEST(BatchOrderTest, IsAFunctionOfSeedAndStep) {
  BatchOrder all(7, 100), late(7, 100), other(8, 100);
  for (uint64_t step = 0; step < 40; ++step) all.Batch(step, 3);
  EXPECT_EQ(all.Batch(40, 3), late.Batch(40, 3));
  EXPECT_NE(all.Batch(40, 3), other.Batch(40, 3));
}

TEST(BatchOrderTest, EpochsDiffer) {
  BatchOrder order(1, 50);
  EXPECT_NE(order.Batch(0, 50), order.Batch(1, 50));
}

TEST(BatchOrderTest, ABatchMayExceedTheExamples) {
  EXPECT_EQ(BatchOrder(1, 1).Batch(0, 3), (std::vector<uint64_t>{0, 0, 0}));
}

}  // namespace
}  // namespace ddpt
