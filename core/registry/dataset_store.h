#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/tuning/dataset.h"

namespace ddpt {

struct StoredDataset {
  std::string digest;
  uint64_t examples = 0;
  uint64_t size_bytes = 0;  // of the file
};

// Data sets by their digest, as files <directory>/<digest>.jsonl that are written once and never
// changed. Thread-safe; every call blocks on storage.
class DatasetStore {
 public:
  struct Options {
    std::string directory;                   // created where it is missing
    uint64_t max_bytes = uint64_t{4} << 30;  // of all files together
  };

  // Removes the temporary files that a crash has left.
  static absl::StatusOr<std::unique_ptr<DatasetStore>> Open(Options options);

  // Keeps a data set; one that is there already is left as it is, but counts as new for
  // RemoveOlderThan; a damaged one is written again. RESOURCE_EXHAUSTED names max_bytes, or tells a
  // full disk; FieldError "data" where the file would be larger than kMaxDatasetBytes.
  absl::StatusOr<StoredDataset> Put(const Dataset& dataset);
  // NOT_FOUND naming the digest; FieldError "digest" for what is no SHA-256 in lower-case
  // hexadecimal; DATA_LOSS where the file is not what its name says.
  absl::StatusOr<Dataset> Get(std::string_view digest) const;
  // Removes data sets that were put before this time of the system's clock, in microseconds since
  // 1970, and that `keep` does not name. How many.
  absl::StatusOr<uint64_t> RemoveOlderThan(int64_t micros, const std::set<std::string>& keep);

 private:
  explicit DatasetStore(Options options) : options_(std::move(options)) {}
  std::string PathOf(std::string_view digest) const;
  // The caller holds mutex_.
  absl::Status CheckRoom(uint64_t size_bytes) const;

  const Options options_;
  mutable std::mutex mutex_;  // held while files are counted, written or removed
};

}  // namespace ddpt
