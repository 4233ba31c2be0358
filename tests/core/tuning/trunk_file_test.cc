#include "core/tuning/trunk_file.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/core/registry/temporary_folder.h"

namespace ddpt {
namespace {

namespace fs = std::filesystem;

const std::string kKey(TrunkFile::kKeyBytes, 'k'), kOther(TrunkFile::kKeyBytes, 'o');

class TrunkFileTest : public testing::Test {
 protected:
  std::unique_ptr<TrunkFile> Open(const std::string& identity = "model",
                                  uint64_t limit = 1 << 20) const {
    auto file = TrunkFile::Open(folder_.path(), identity, limit);
    EXPECT_TRUE(file.ok()) << file.status();
    return *std::move(file);
  }
  std::string Path() const { return fs::directory_iterator(folder_.path())->path().string(); }

  const TemporaryFolder folder_;
  const at::Tensor halves_ = at::randn({1, 3, 5}).to(at::kBFloat16);
  const at::Tensor positions_ = at::arange(4).view({1, 4});
};

TEST_F(TrunkFileTest, GivesBackWhatWasPutBitForBit) {
  const auto file = Open();
  file->Put(kKey, {halves_, positions_});
  const auto found = file->Get(kKey);
  ASSERT_TRUE(found.has_value());
  ASSERT_EQ(found->size(), 2u);
  EXPECT_EQ((*found)[0].scalar_type(), at::kBFloat16);
  EXPECT_TRUE((*found)[0].equal(halves_));
  EXPECT_TRUE((*found)[1].equal(positions_));
  EXPECT_FALSE(file->Get(kOther).has_value());
}

TEST_F(TrunkFileTest, OutlivesTheProcess) {
  Open()->Put(kKey, {halves_});
  EXPECT_TRUE(Open()->Get(kKey)->at(0).equal(halves_));
}

TEST_F(TrunkFileTest, AnotherIdentityStartsAnewAndTakesThePlace) {
  Open()->Put(kKey, {halves_});
  EXPECT_FALSE(Open("other")->Get(kKey).has_value());
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_.path()), fs::directory_iterator()), 1);
}

TEST_F(TrunkFileTest, ADamagedEntryIsMissingAndTheOthersAreNot) {
  Open()->Put(kKey, {halves_});
  const auto size = static_cast<std::streamoff>(fs::file_size(Path()));
  Open()->Put(kOther, {positions_});
  std::fstream file(Path(), std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(size - 1);
  file.put(static_cast<char>(0x7f));
  file.close();
  EXPECT_FALSE(Open()->Get(kKey).has_value());
  EXPECT_TRUE(Open()->Get(kOther)->at(0).equal(positions_));
}

TEST_F(TrunkFileTest, AnEntryCutShortIsForgottenAndTheNextTakesItsPlace) {
  Open()->Put(kKey, {halves_});
  Open()->Put(kOther, {positions_});
  fs::resize_file(Path(), fs::file_size(Path()) - 1);
  const auto file = Open();
  EXPECT_EQ(file->entries(), 1u);
  file->Put(kOther, {positions_});
  EXPECT_TRUE(file->Get(kOther)->at(0).equal(positions_));
}

TEST_F(TrunkFileTest, DoesNotGrowBeyondItsLimit) {
  const auto file = Open("model", 200);
  file->Put(kKey, {halves_});
  file->Put(kOther, {at::zeros({100})});
  EXPECT_TRUE(file->Get(kKey).has_value());
  EXPECT_FALSE(file->Get(kOther).has_value());
  EXPECT_LE(fs::file_size(Path()), 200u);
}

TEST_F(TrunkFileTest, CutShortWhileOpenItsEntriesAreMissing) {
  const auto file = Open();
  file->Put(kKey, {halves_});
  fs::resize_file(Path(), 0);
  EXPECT_FALSE(file->Get(kKey).has_value());
}

TEST_F(TrunkFileTest, DeletedWhileOpenItStillServes) {
  const auto file = Open();
  file->Put(kKey, {halves_});
  fs::remove(Path());
  EXPECT_TRUE(file->Get(kKey)->at(0).equal(halves_));
  EXPECT_EQ(Open()->entries(), 0u);
}

}  // namespace
}  // namespace ddpt
