#include "core/model/device_memory.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/base/device.h"
#include "tests/device.h"

namespace ddpt {
namespace {

constexpr uint64_t kMegabyte = 1 << 20;

int TestDeviceNumber() { return ParseDevice(TestDevice()).value(); }

TEST(DeviceMemoryTest, ProcessorHasNone) {
  EXPECT_FALSE(ReadDeviceMemory(kCpu));
  EXPECT_EQ(PeakDeviceMemory(kCpu), 0);
}

TEST(DeviceMemoryTest, TensorsOfAGpuCount) {
  if (TestDeviceNumber() == kCpu) GTEST_SKIP() << "needs a GPU: DDPT_TEST_DEVICE=cuda:0";
  const at::Tensor held = at::zeros({int64_t{kMegabyte}}, at::Device(TestDevice()));
  const auto memory = ReadDeviceMemory(TestDeviceNumber());
  ASSERT_TRUE(memory);
  EXPECT_GE(memory->used, 4 * kMegabyte);
  EXPECT_GT(memory->total, memory->used);
}

TEST(DeviceMemoryTest, PeakOutlivesItsTensorUntilForgotten) {
  const int device = TestDeviceNumber();
  if (device == kCpu) GTEST_SKIP() << "needs a GPU: DDPT_TEST_DEVICE=cuda:0";
  ForgetPeakDeviceMemory(device);
  const uint64_t before = PeakDeviceMemory(device);
  at::zeros({int64_t{8 * kMegabyte}}, at::Device(TestDevice()));
  EXPECT_GE(PeakDeviceMemory(device), before + 32 * kMegabyte);
  ForgetPeakDeviceMemory(device);
  EXPECT_LT(PeakDeviceMemory(device), before + 32 * kMegabyte);
}

}  // namespace
}  // namespace ddpt
