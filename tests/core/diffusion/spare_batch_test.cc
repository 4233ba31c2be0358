#include "core/diffusion/spare_batch.h"

#include "tests/core/diffusion/testing.h"

namespace ddpt {
namespace {

TEST(SpareBatchTest, GivesBackTheBatchThatWasPut) {
  const auto engine = RandomEngine(SmallSpec());
  SpareBatch spare;
  auto batch = spare.Take(engine, 2).value();
  const DrawBatch* const first = batch.get();
  spare.Put(std::move(batch));
  EXPECT_EQ(spare.Take(engine, 2)->get(), first);
}

TEST(SpareBatchTest, ABatchServesOneAtATime) {
  const auto engine = RandomEngine(SmallSpec());
  SpareBatch spare;
  spare.Put(spare.Take(engine, 2).value());
  const auto one = spare.Take(engine, 2).value();
  EXPECT_NE(spare.Take(engine, 2)->get(), one.get());
}

TEST(SpareBatchTest, ABatchWithRowsIsNotKept) {
  const auto engine = RandomEngine(SmallSpec());
  SpareBatch spare;
  auto batch = spare.Take(engine, 2).value();
  ASSERT_TRUE(batch->Join({.options = {.steps = 5}}).ok());
  spare.Put(std::move(batch));
  EXPECT_EQ(spare.Take(engine, 2).value()->width(), 0u);
}

TEST(SpareBatchTest, AnotherCapacityOrEngineGetsABatchOfItsOwn) {
  const auto engine = RandomEngine(SmallSpec());
  SpareBatch spare;
  spare.Put(spare.Take(engine, 2).value());
  EXPECT_EQ(spare.Take(engine, 3).value()->capacity(), 3u);
  spare.Put(spare.Take(engine, 2).value());
  const auto other = RandomEngine(SmallSpec());
  EXPECT_EQ(&spare.Take(other, 2).value()->engine(), other.get());
}

}  // namespace
}  // namespace ddpt
