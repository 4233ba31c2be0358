#include "core/base/processors.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <thread>

namespace ddpt {
namespace {

TEST(ProcessorsTest, ThoseThatTheThreadIsKeptToAreCounted) {
  size_t processors = 0;
  std::thread([&] {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
    processors = UsableProcessors();
  }).join();
  EXPECT_EQ(processors, 1);
}

TEST(ProcessorsTest, AQuotaIsWholeProcessors) {
  EXPECT_EQ(ProcessorsOfQuota("400000 100000"), 4);
  EXPECT_EQ(ProcessorsOfQuota("250000 100000"), 2);
}

TEST(ProcessorsTest, AQuotaOfLessThanOneProcessorIsOne) {
  EXPECT_EQ(ProcessorsOfQuota("50000 100000"), 1);
}

TEST(ProcessorsTest, NoQuotaIsNoLimit) {
  EXPECT_EQ(ProcessorsOfQuota("max 100000"), std::nullopt);
  EXPECT_EQ(ProcessorsOfQuota(""), std::nullopt);
}

}  // namespace
}  // namespace ddpt
