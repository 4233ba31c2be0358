#include "core/base/device.h"

#include <gtest/gtest.h>

#include "core/base/status.h"

namespace ddpt {
namespace {

TEST(DeviceTest, KnowsTheProcessorAndGpus) {
  EXPECT_EQ(ParseDevice("cpu").value(), kCpu);
  EXPECT_EQ(ParseDevice("cuda:0").value(), 0);
  EXPECT_EQ(ParseDevice("cuda:12").value(), 12);
}

TEST(DeviceTest, RefusesOtherWordsByTheirName) {
  for (const char* word :
       {"", "gpu", "cuda", "cuda:", "cuda:-1", "cuda:x", "cuda:99999999999", "CPU"}) {
    const absl::Status status = ParseDevice(word).status();
    EXPECT_EQ(FieldOf(status), "device") << word;
    EXPECT_NE(status.message().find(word), absl::string_view::npos) << status;
  }
}

}  // namespace
}  // namespace ddpt
