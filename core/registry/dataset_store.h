#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/tuning/dataset.h"

namespace ddpt {

struct StoredDataset {
  std::string digest;
  uint64_t examples = 0;
  uint64_t size_bytes = 0;  // as JSON Lines
};

// Data sets by their digest, written once and never changed. Thread-safe; every call blocks on
// storage.
class DatasetStore {
 public:
  virtual ~DatasetStore() = default;

  // Keeps a data set; one that is there already is left as it is, but counts as new for
  // RemoveOlderThan; a damaged one is written again. RESOURCE_EXHAUSTED names the limit of all
  // together, or tells a full disk; FieldError "data" where it is larger than kMaxDatasetBytes.
  virtual absl::StatusOr<StoredDataset> Put(const Dataset& dataset) = 0;
  // NOT_FOUND naming the digest; FieldError "digest" for what is no SHA-256 in lower-case
  // hexadecimal; DATA_LOSS where what is kept is not what its name says.
  virtual absl::StatusOr<Dataset> Get(std::string_view digest) const = 0;
  // Removes data sets that were put before this time of the store's clock, in microseconds since
  // 1970, and that `keep` does not name. How many.
  virtual absl::StatusOr<uint64_t> RemoveOlderThan(int64_t micros,
                                                   const std::set<std::string>& keep) = 0;
};

// What data set stores have in common.
inline constexpr uint64_t kMaxDatasetsBytes = uint64_t{4} << 30;  // the default limit of all
absl::StatusOr<std::string> BytesOfDataset(const Dataset& dataset);
absl::StatusOr<Dataset> DatasetOfBytes(std::string_view digest, std::string_view bytes);
absl::Status NoSuchDataset(std::string_view digest);
absl::Status CheckDatasetRoom(uint64_t used_bytes, uint64_t size_bytes, uint64_t max_bytes);

}  // namespace ddpt
