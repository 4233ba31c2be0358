#include "server/upload.h"

#include <gtest/gtest.h>

#include "core/base/status.h"

namespace ddpt {
namespace {

TEST(UploadTest, KeepsWhatArrivesAndItsDigest) {
  auto upload = Upload::Create(testing::TempDir(), 100);
  ASSERT_TRUE(upload.ok()) << upload.status();
  ASSERT_TRUE((*upload)->Append("soft ").ok());
  ASSERT_TRUE((*upload)->Append("prompt").ok());
  EXPECT_EQ((*upload)->Finish(), Sha256Hex("soft prompt"));
  EXPECT_EQ((*upload)->Map().value(), "soft prompt");
}

TEST(UploadTest, LimitIsNamed) {
  auto upload = Upload::Create(testing::TempDir(), 10);
  ASSERT_TRUE((*upload)->Append("0123456789").ok());
  const absl::Status status = (*upload)->Append("x");
  EXPECT_EQ(FieldOf(status), "chunk");
  EXPECT_NE(status.message().find("10"), status.message().npos);
}

TEST(UploadTest, NothingGivesAnEmptyFile) {
  auto upload = Upload::Create(testing::TempDir(), 10);
  EXPECT_EQ((*upload)->Finish(), Sha256Hex(""));
  EXPECT_EQ((*upload)->Map().value(), "");
}

TEST(UploadTest, MissingDirectoryIsAnError) {
  EXPECT_FALSE(Upload::Create(testing::TempDir() + "none/such", 10).ok());
}

}  // namespace
}  // namespace ddpt
