#include "core/registry/dataset_store.h"

#include <limits>

#include "core/base/clock.h"
#include "core/base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/registry/backend.h"

namespace ddpt {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kHourMicros = int64_t{3600} * 1'000'000;

Dataset Examples(const std::string& salt) {
  return *MakeDataset({{"add \"" + salt + "\"\n to it", "x += 1"}, {"return", "return ü"}});
}

class DatasetStoreTest : public BackendTest {
 protected:
  void SetUp() override {
    BackendTest::SetUp();
    if (backend_) Open(std::numeric_limits<uint64_t>::max());
  }
  void Open(uint64_t max_bytes) {
    store_.reset();
    auto store = backend_->OpenDatasets(max_bytes);
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  StoredDataset Put(const Dataset& dataset) {
    const auto stored = store_->Put(dataset);
    EXPECT_TRUE(stored.ok()) << stored.status();
    return stored.value_or(StoredDataset{});
  }
  bool Has(const Dataset& dataset) const { return store_->Get(dataset.digest).ok(); }

  std::unique_ptr<DatasetStore> store_;
};

INSTANTIATE_TEST_SUITE_P(Stores, DatasetStoreTest, kBackends, NameOfBackend);

TEST_P(DatasetStoreTest, GetGivesWhatWasPut) {
  const Dataset dataset = Examples("1");
  const StoredDataset stored = Put(dataset);
  EXPECT_EQ(stored.digest, dataset.digest);
  EXPECT_EQ(stored.examples, 2u);
  EXPECT_EQ(stored.size_bytes, SerializeDataset(dataset).size());
  const auto found = store_->Get(dataset.digest);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->digest, dataset.digest);
  EXPECT_EQ(found->examples[0].instruction, dataset.examples[0].instruction);
  EXPECT_EQ(found->examples[1].code, dataset.examples[1].code);
}

TEST_P(DatasetStoreTest, DataSetsSurviveReopening) {
  Put(Examples("1"));
  Open(0);
  EXPECT_TRUE(Has(Examples("1")));
}

TEST_P(DatasetStoreTest, UnknownDigestsAreNotFound) {
  const std::string digest(64, 'a');
  const absl::Status status = store_->Get(digest).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(status.message(), HasSubstr(digest));
}

TEST_P(DatasetStoreTest, WhatIsNoDigestIsRefused) {
  for (const std::string& digest : {std::string(), std::string(63, 'a'), std::string(64, 'A'),
                                    "../" + std::string(61, 'a'), std::string(1 << 20, 'a')}) {
    EXPECT_EQ(FieldOf(store_->Get(digest).status()), "digest");
  }
}

TEST_P(DatasetStoreTest, TheLimitOfBytesIsNamed) {
  const uint64_t size = Put(Examples("1")).size_bytes;
  Open(2 * size);
  Put(Examples("2"));
  const absl::Status full = store_->Put(Examples("3")).status();
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(full.message(), HasSubstr("limit of " + std::to_string(2 * size) + " bytes"));
  EXPECT_FALSE(Has(Examples("3")));
  Put(Examples("1"));
}

TEST_P(DatasetStoreTest, ExpiryKeepsWhatIsNewOrUsed) {
  for (const char* salt : {"old", "used"}) Put(Examples(salt));
  const int64_t limit = SystemClock().WallMicros() + kHourMicros;
  EXPECT_EQ(*store_->RemoveOlderThan(limit, {Examples("used").digest}), 1u);
  EXPECT_FALSE(Has(Examples("old")));
  EXPECT_TRUE(Has(Examples("used")));
  EXPECT_EQ(*store_->RemoveOlderThan(limit - 2 * kHourMicros, {}), 0u);
}

}  // namespace
}  // namespace ddpt
