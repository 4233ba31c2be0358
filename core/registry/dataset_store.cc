#include "core/registry/dataset_store.h"

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace ddpt {

absl::StatusOr<std::string> BytesOfDataset(const Dataset& dataset) {
  std::string bytes = SerializeDataset(dataset);
  if (bytes.size() <= kMaxDatasetBytes) return bytes;
  return FieldError("data", absl::StrCat(bytes.size(), " bytes as JSON Lines exceed the limit of ",
                                         kMaxDatasetBytes));
}

absl::StatusOr<Dataset> DatasetOfBytes(std::string_view digest, std::string_view bytes) {
  auto dataset = ParseDataset(bytes, {.kind = DatasetFormat::Kind::kJsonLines});
  if (dataset.ok() && dataset->digest == digest) return dataset;
  return absl::DataLossError(
      absl::StrCat("data set ", Piece(digest), " is damaged: it does not have this digest"));
}

absl::Status NoSuchDataset(std::string_view digest) {
  return absl::NotFoundError(absl::StrCat("data set ", Piece(digest), " does not exist"));
}

absl::Status CheckDatasetRoom(uint64_t used_bytes, uint64_t size_bytes, uint64_t max_bytes) {
  if (used_bytes + size_bytes <= max_bytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("data sets of ", used_bytes, " bytes are kept: ", size_bytes,
                   " more would exceed the limit of ", max_bytes, " bytes"));
}

}  // namespace ddpt
