#include "core/model/weight_memory.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <optional>

namespace ddpt {
namespace {

TEST(WeightMemoryTest, TensorsStandApartOnLinesOfTheirOwn) {
  WeightMemory memory;
  const at::Tensor a = memory.Empty({3, 5}, at::kFloat), b = memory.Empty({7}, at::kChar);
  a.fill_(1);
  b.fill_(2);
  EXPECT_TRUE(at::equal(a, at::ones({3, 5})));
  EXPECT_EQ(b.scalar_type(), at::kChar);
  for (const at::Tensor& each : {a, b}) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(each.const_data_ptr()) % 64, 0);
  }
}

TEST(WeightMemoryTest, TensorsOutliveIt) {
  std::optional<WeightMemory> memory(std::in_place);
  const at::Tensor weight = memory->Empty({4}, at::kFloat);
  memory.reset();
  weight.fill_(3);
  EXPECT_EQ(weight.sum().item<float>(), 12);
}

TEST(WeightMemoryTest, OneLargerThanARegionHasOneOfItsOwn) {
  WeightMemory memory;
  const at::Tensor small = memory.Empty({1}, at::kFloat).fill_(1);
  const at::Tensor large = memory.Empty({70 << 20}, at::kChar);
  large.select(0, large.size(0) - 1).fill_(5);
  EXPECT_EQ(large[-1].item<int64_t>(), 5);
  EXPECT_EQ(small.item<float>(), 1);
}

}  // namespace
}  // namespace ddpt
