// A step of a batch allocates nothing.
#include "tests/core/diffusion/allocation_counter.h"
#include "tests/core/diffusion/testing.h"

namespace ddpt {
namespace {

class AllocationTest : public ::testing::TestWithParam<Reading> {};

TEST_P(AllocationTest, StepsAllocateNothing) {
  DenoiserSpec spec = SmallSpec(GetParam());
  spec.condition_width = 5;
  auto batch = LatentBatch::Create(RandomEngine(spec), 3).value();
  SampleRow row{.options = Options(DefaultSampler(GetParam()), 20), .condition = Noise(1, 5)};
  ASSERT_TRUE(batch->Join(row).ok());
  row.options.guidance_scale = 2;
  if (row.options.sampler == Sampler::kDdim) row.options.eta = 1;
  ASSERT_TRUE(batch->Join(row).ok());
  const size_t before = Allocations();
  size_t finished = 0;
  for (int step = 0; step < 20; ++step) finished += batch->Step().size();
  EXPECT_EQ(Allocations(), before);
  EXPECT_EQ(finished, 2);
}

INSTANTIATE_TEST_SUITE_P(All, AllocationTest,
                         ::testing::Values(Reading::kX0, Reading::kX0Residual, Reading::kResidual));

}  // namespace
}  // namespace ddpt
