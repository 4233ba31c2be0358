#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "core/registry/dataset_store.h"

namespace ddpt {

// Data sets of one server as files <directory>/<digest>.jsonl.
class FileDatasetStore final : public DatasetStore {
 public:
  struct Options {
    std::string directory;                   // created where it is missing
    uint64_t max_bytes = kMaxDatasetsBytes;  // of all files together
  };

  // Removes the temporary files that a crash has left.
  static absl::StatusOr<std::unique_ptr<FileDatasetStore>> Open(Options options);

  absl::StatusOr<StoredDataset> Put(const Dataset& dataset) override;
  absl::StatusOr<Dataset> Get(std::string_view digest) const override;
  absl::StatusOr<uint64_t> RemoveOlderThan(int64_t micros,
                                           const std::set<std::string>& keep) override;

 private:
  explicit FileDatasetStore(Options options) : options_(std::move(options)) {}
  std::string PathOf(std::string_view digest) const;
  // The caller holds mutex_.
  absl::Status CheckRoom(uint64_t size_bytes) const;

  const Options options_;
  mutable std::mutex mutex_;  // held while files are counted, written or removed
};

}  // namespace ddpt
