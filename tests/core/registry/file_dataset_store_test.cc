#include "core/registry/file_dataset_store.h"

#include <sys/mount.h>

#include <chrono>
#include <filesystem>
#include <limits>

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/registry/temporary_folder.h"

namespace ddpt {
namespace {

namespace fs = std::filesystem;

using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

constexpr int64_t kHourMicros = int64_t{3600} * 1'000'000;

Dataset Examples(const std::string& salt) {
  return *MakeDataset({{"add \"" + salt + "\"\n to it", "x += 1"}, {"return", "return ü"}});
}

class FileDatasetStoreTest : public ::testing::Test {
 protected:
  FileDatasetStoreTest() { Open(std::numeric_limits<uint64_t>::max()); }

  void Open(uint64_t max_bytes) {
    auto store = FileDatasetStore::Open({.directory = Folder(), .max_bytes = max_bytes});
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  StoredDataset Put(const Dataset& dataset) {
    const auto stored = store_->Put(dataset);
    EXPECT_TRUE(stored.ok()) << stored.status();
    return stored.value_or(StoredDataset{});
  }
  std::string Folder() const { return folder_.path() + "/state/datasets"; }
  std::string PathOf(const Dataset& dataset) const {
    return Folder() + "/" + dataset.digest + ".jsonl";
  }
  // As if the data set had been put this many hours earlier.
  void Age(const Dataset& dataset, int hours) {
    fs::last_write_time(PathOf(dataset),
                        fs::last_write_time(PathOf(dataset)) - std::chrono::hours(hours));
  }
  bool Has(const Dataset& dataset) const { return store_->Get(dataset.digest).ok(); }

  TemporaryFolder folder_;
  std::unique_ptr<FileDatasetStore> store_;
};

TEST_F(FileDatasetStoreTest, ExpiryKeepsWhatIsNewOrUsed) {
  for (const char* salt : {"old", "used", "new"}) Put(Examples(salt));
  Age(Examples("old"), 2);
  Age(Examples("used"), 2);
  const int64_t limit = SystemClock().WallMicros() - kHourMicros;
  EXPECT_EQ(*store_->RemoveOlderThan(limit, {Examples("used").digest}), 1u);
  EXPECT_FALSE(Has(Examples("old")));
  EXPECT_TRUE(Has(Examples("used")));
  EXPECT_TRUE(Has(Examples("new")));
}

TEST_F(FileDatasetStoreTest, PuttingAgainMakesItNew) {
  Put(Examples("1"));
  Age(Examples("1"), 2);
  Put(Examples("1"));
  EXPECT_EQ(*store_->RemoveOlderThan(SystemClock().WallMicros() - kHourMicros, {}), 0u);
}

TEST_F(FileDatasetStoreTest, ADamagedFileIsDataLossUntilItIsPutAgain) {
  const Dataset dataset = Examples("1");
  const std::string other = SerializeDataset(Examples("2"));
  for (const std::string& bytes : {std::string("{"), std::string(), other}) {
    Put(dataset);
    ASSERT_TRUE(WriteFileAtomic(PathOf(dataset), bytes).ok());
    const absl::Status status = store_->Get(dataset.digest).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(status.message(), HasSubstr(dataset.digest));
  }
  Put(dataset);
  EXPECT_TRUE(Has(dataset));
}

TEST_F(FileDatasetStoreTest, FilesOfOthersStay) {
  const Dataset dataset = Examples("1");
  Put(dataset);
  for (const std::string& name : {std::string("README"), dataset.digest + ".jsonl.tmp.Xy01ab"}) {
    ASSERT_TRUE(WriteFileAtomic(Folder() + "/" + name, "x").ok());
  }
  Open(0);
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(Folder()))
    names.push_back(entry.path().filename());
  EXPECT_THAT(names, UnorderedElementsAre("README", dataset.digest + ".jsonl"));
  EXPECT_EQ(*store_->RemoveOlderThan(std::numeric_limits<int64_t>::max(), {}), 1u);
  EXPECT_TRUE(fs::exists(Folder() + "/README"));
}

TEST_F(FileDatasetStoreTest, AFullDiskLeavesNothing) {
  if (mount("tmpfs", Folder().c_str(), "tmpfs", 0, "size=64k") != 0) {
    GTEST_SKIP() << "needs the right to mount a small file system";
  }
  const Dataset large = *MakeDataset({{"a", std::string(65536, 'x')}, {"b", "c"}});
  const absl::Status status = store_->Put(large).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_TRUE(fs::is_empty(Folder()));
  Put(Examples("1"));
  EXPECT_TRUE(Has(Examples("1")));
  EXPECT_EQ(umount2(Folder().c_str(), MNT_DETACH), 0);
}

}  // namespace
}  // namespace ddpt
