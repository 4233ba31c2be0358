#include "core/base/memory.h"

#include <gtest/gtest.h>

#include <vector>

namespace ddpt {
namespace {

TEST(MemoryTest, SomeIsFree) {
  const auto free = FreeMemory();
  ASSERT_TRUE(free.has_value());
  EXPECT_GT(*free, uint64_t{1} << 20);
}

TEST(MemoryTest, PeakGrowsByWhatIsTouched) {
  constexpr uint64_t kBytes = 64 << 20;
  const uint64_t before = PeakMemory();
  const std::vector<char> touched(before + kBytes, 1);
  EXPECT_GE(PeakMemory(), before + kBytes) << touched.back();
}

}  // namespace
}  // namespace ddpt
