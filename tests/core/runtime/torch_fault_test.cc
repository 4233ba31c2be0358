#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/runtime/fault.h"
#include "core/runtime/stream_pool.h"

namespace ddpt {
namespace {

// What becomes of works that throw, one after the other, on a pool of one thread.
class TorchFaultTest : public testing::Test {
 protected:
  template <typename Throw>
  absl::Status Run(Throw action) {
    absl::Status told;
    EXPECT_TRUE(pool_
                    ->Submit({.key = "a",
                              .run =
                                  [&](Stream&) {
                                    action();
                                    return Progress::kDone;
                                  },
                              .on_error = [&](const absl::Status& status) { told = status; }})
                    .ok());
    return told;
  }

  std::vector<absl::Status> lost_;
  std::unique_ptr<StreamPool> pool_ =
      StreamPool::Create(
          {.threads = 0,
           .on_device_lost = [this](const absl::Status& status) { lost_.push_back(status); }})
          .value();
};

TEST_F(TorchFaultTest, MemoryThatRunsOutCostsOneRequestOnly) {
  const absl::Status status = Run([] {
    C10_THROW_ERROR(OutOfMemoryError, "CUDA out of memory. Tried to allocate 20.00 GiB.");
  });
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_EQ(ReasonOf(status), kReasonOutOfMemory);
  EXPECT_TRUE(pool_->health().ok());
  EXPECT_TRUE(lost_.empty());
  EXPECT_TRUE(Run([] {}).ok());
}

TEST_F(TorchFaultTest, AnIllegalAccessLosesTheDeviceForGood) {
  const auto illegal = [] {
    TORCH_CHECK(false, "CUDA error: an illegal memory access was encountered\n",
                "CUDA kernel errors might be asynchronously reported at some other API call");
  };
  const absl::Status status = Run(illegal);
  EXPECT_TRUE(absl::IsInternal(status)) << status;
  EXPECT_TRUE(absl::IsInternal(Run(illegal)));
  ASSERT_EQ(lost_.size(), 1u);
  EXPECT_EQ(lost_[0].message(), "CUDA error: an illegal memory access was encountered");
  EXPECT_EQ(pool_->health(), lost_[0]);
}

TEST_F(TorchFaultTest, ABugOfOneRequestLeavesTheDeviceAlone) {
  const absl::Status status = Run([] { TORCH_CHECK(false, "mat1 and mat2 shapes differ"); });
  EXPECT_EQ(status, absl::InternalError("mat1 and mat2 shapes differ"));
  EXPECT_TRUE(pool_->health().ok());
}

}  // namespace
}  // namespace ddpt
