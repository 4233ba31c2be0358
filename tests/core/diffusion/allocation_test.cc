// A step of a batch allocates nothing. Counts the allocations of this thread for the whole binary.
#include <cstdlib>
#include <new>

#include "tests/core/diffusion/testing.h"

namespace {

thread_local size_t allocations = 0;

}  // namespace

void* operator new(size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

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
  const size_t before = allocations;
  size_t finished = 0;
  for (int step = 0; step < 20; ++step) finished += batch->Step().size();
  EXPECT_EQ(allocations, before);
  EXPECT_EQ(finished, 2);
}

INSTANTIATE_TEST_SUITE_P(All, AllocationTest,
                         ::testing::Values(Reading::kX0, Reading::kX0Residual, Reading::kResidual));

}  // namespace
}  // namespace ddpt
