#include "core/base/address.h"

#include <gtest/gtest.h>

namespace ddpt {
namespace {

TEST(AddressTest, LoopbackIsWhatOnlyThisMachineReaches) {
  for (const char* host : {"localhost", "127.0.0.1", "127.9.8.7", "::1", "[::1]"}) {
    EXPECT_TRUE(IsLoopback(host)) << host;
  }
  for (const char* host : {"", "0.0.0.0", "::", "[::]", "10.0.0.1", "128.0.0.1",
                           "localhost.example", "127.0.0.1.example", "example"}) {
    EXPECT_FALSE(IsLoopback(host)) << host;
  }
}

TEST(AddressTest, AnAddressIsHostAndPort) {
  const auto parts = SplitAddress("listen", "[::1]:50051");
  ASSERT_TRUE(parts.ok()) << parts.status();
  EXPECT_EQ(parts->first, "[::1]");
  EXPECT_EQ(parts->second, 50051);
}

}  // namespace
}  // namespace ddpt
