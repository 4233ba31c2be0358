#include "core/base/digest.h"

#include "gtest/gtest.h"

namespace ddpt {
namespace {

TEST(DigestTest, Sha256OfTheStandardExamples) {
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(DigestTest, Sha256DoesNotDependOnThePieces) {
  Sha256 whole, pieces;
  whole.Update("diffusion driven");
  pieces.Update("diffusion");
  pieces.Update("");
  pieces.Update(" driven");
  Sha256 moved = std::move(pieces);
  EXPECT_EQ(moved.Finish(), whole.Finish());
}

TEST(DigestTest, Crc32cOfThePublishedVectors) {
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(Crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(Crc32c(""), 0u);
}

}  // namespace
}  // namespace ddpt
