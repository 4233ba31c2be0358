#include "core/tuning/micro_batches.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/model/geometry.h"

namespace ddpt {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

TEST(MicroBatchesTest, RowsOfLikeLengthGoTogetherTheShortestFirst) {
  EXPECT_THAT(MicroBatches({9, 2, 8, 1, 3}, {.rows = 2}),
              ElementsAre(ElementsAre(3, 1), ElementsAre(4, 2), ElementsAre(0)));
}

TEST(MicroBatchesTest, PaddingCountsAsTokens) {
  EXPECT_THAT(MicroBatches({4, 2, 2, 2}, {.tokens = 8}),
              ElementsAre(ElementsAre(1, 2, 3), ElementsAre(0)));
}

TEST(MicroBatchesTest, ARowThatIsTooLongGoesAlone) {
  EXPECT_THAT(MicroBatches({50, 50}, {.tokens = 8}), ElementsAre(ElementsAre(0), ElementsAre(1)));
}

TEST(MicroBatchesTest, AGpuTakesWholeBatches) {
  ModelGeometry geometry;
  geometry.encoder.width = 1024;
  geometry.device = "cuda:0";
  EXPECT_THAT(MicroBatches(std::vector<int64_t>(512, 100), MicroBatchLimitsFor(geometry, 0)),
              SizeIs(1));
}

TEST(MicroBatchesTest, AProcessorTakesFewerRowsOfAWiderEncoder) {
  ModelGeometry geometry;
  geometry.encoder.width = 128;
  const int64_t narrow = MicroBatchLimitsFor(geometry, 0).tokens;
  geometry.encoder.width = 256;
  EXPECT_EQ(MicroBatchLimitsFor(geometry, 0).tokens, narrow / 4);
}

TEST(MicroBatchesTest, TheCallersRowsCountOnEveryDevice) {
  EXPECT_EQ(MicroBatchLimitsFor(ModelGeometry{}, 7).rows, 7);
}

}  // namespace
}  // namespace ddpt
