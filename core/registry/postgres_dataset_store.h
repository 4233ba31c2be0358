#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string_view>

#include "core/registry/dataset_store.h"
#include "core/registry/postgres_database.h"

namespace ddpt {

// Data sets that several servers share.
class PostgresDatasetStore final : public DatasetStore {
 public:
  // `database` must outlive the store. At most `max_bytes` of all data sets together.
  static absl::StatusOr<std::unique_ptr<PostgresDatasetStore>> Open(
      PostgresDatabase& database, uint64_t max_bytes = kMaxDatasetsBytes);

  absl::StatusOr<StoredDataset> Put(const Dataset& dataset) override;
  absl::StatusOr<Dataset> Get(std::string_view digest) const override;
  absl::StatusOr<uint64_t> RemoveOlderThan(int64_t micros,
                                           const std::set<std::string>& keep) override;

 private:
  PostgresDatasetStore(PostgresDatabase& database, uint64_t max_bytes)
      : database_(database), max_bytes_(max_bytes) {}

  PostgresDatabase& database_;
  const uint64_t max_bytes_;
};

}  // namespace ddpt
