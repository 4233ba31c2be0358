#include "core/runtime/fault.h"

#include <gtest/gtest.h>

#include <new>
#include <stdexcept>
#include <string>

#include "core/base/status.h"

namespace ddpt {
namespace {

TEST(FaultTest, FirstLineOfAMessageIsTheError) {
  const absl::Status status = FromException(std::runtime_error("shapes differ\nframe #0: secret"));
  EXPECT_EQ(status, absl::InternalError("shapes differ"));
  EXPECT_EQ(ReasonOf(status), "");
}

TEST(FaultTest, WantOfMemoryIsNotTheServersFault) {
  for (const absl::Status& status :
       {FromException(std::bad_alloc()), FromException(std::runtime_error("GPU: out of memory"))}) {
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
    EXPECT_EQ(ReasonOf(status), kReasonOutOfMemory);
  }
}

TEST(FaultTest, ErrorsThatStayMeanALostDevice) {
  for (const char* words :
       {"GPU: an illegal memory access was encountered", "GPU: uncorrectable ECC error encountered",
        "CUDA error: device-side assert triggered", "CUDA error: unspecified launch failure"}) {
    const absl::Status status = FromException(std::runtime_error(words));
    EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
    EXPECT_EQ(ReasonOf(status), kReasonDeviceLost) << words;
  }
}

TEST(FaultTest, ACallThatWasWrongLosesNoDevice) {
  const absl::Status status = FromException(std::runtime_error("CUDA error: invalid argument"));
  EXPECT_EQ(ReasonOf(status), "");
}

}  // namespace
}  // namespace ddpt
