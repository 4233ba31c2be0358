#include "core/registry/file_dataset_store.h"

#include <sys/stat.h>

#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/registry/digest_files.h"

namespace ddpt {
namespace {

constexpr char kFileSuffix[] = ".jsonl";

struct StoredFile {
  std::string path;
  std::string digest;
  bool temporary;
  uint64_t size_bytes;
  int64_t modified_micros;
};

// Of the store's own, those that vanish meanwhile left out.
absl::StatusOr<std::vector<StoredFile>> ListFiles(const std::string& directory) {
  std::vector<StoredFile> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename().string();
    const std::string digest = DigestOfFile(name, kFileSuffix);
    struct stat info;
    if (digest.empty() || stat(entry.path().c_str(), &info) != 0) continue;
    files.push_back({entry.path().string(), digest, name != digest + kFileSuffix,
                     static_cast<uint64_t>(info.st_size),
                     int64_t{info.st_mtim.tv_sec} * 1'000'000 + info.st_mtim.tv_nsec / 1000});
  }
  if (!error) return files;
  return absl::UnavailableError(absl::StrCat("cannot list ", directory, ": ", error.message()));
}

bool Holds(const std::string& path, std::string_view bytes) {
  const auto found = ReadFile(path, bytes.size());
  return found.ok() && *found == bytes;
}

absl::Status Touch(const std::string& path) {
  std::error_code error;
  std::filesystem::last_write_time(path, std::filesystem::file_time_type::clock::now(), error);
  if (!error) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("cannot set the time of ", path, ": ", error.message()));
}

}  // namespace

absl::StatusOr<std::unique_ptr<FileDatasetStore>> FileDatasetStore::Open(Options options) {
  DDPT_RETURN_IF_ERROR(CreateFolder(options.directory));
  DDPT_ASSIGN_OR_RETURN(const auto files, ListFiles(options.directory));
  for (const StoredFile& file : files) {
    std::error_code ignored;  // what stays is removed at the next Open
    if (file.temporary) std::filesystem::remove(file.path, ignored);
  }
  return std::unique_ptr<FileDatasetStore>(new FileDatasetStore(std::move(options)));
}

absl::StatusOr<StoredDataset> FileDatasetStore::Put(const Dataset& dataset) {
  DDPT_ASSIGN_OR_RETURN(const std::string bytes, BytesOfDataset(dataset));
  const std::string path = PathOf(dataset.digest);
  const std::lock_guard lock(mutex_);
  if (Holds(path, bytes)) {
    DDPT_RETURN_IF_ERROR(Touch(path));
  } else {
    DDPT_RETURN_IF_ERROR(CheckRoom(bytes.size()));
    DDPT_RETURN_IF_ERROR(WriteFileAtomic(path, bytes));
  }
  return StoredDataset{dataset.digest, dataset.examples.size(), bytes.size()};
}

absl::StatusOr<Dataset> FileDatasetStore::Get(std::string_view digest) const {
  DDPT_RETURN_IF_ERROR(CheckDigest("digest", digest));
  const auto bytes = ReadFile(PathOf(digest), kMaxDatasetBytes);
  if (absl::IsNotFound(bytes.status())) return NoSuchDataset(digest);
  if (!bytes.ok() && !absl::IsInvalidArgument(bytes.status())) return bytes.status();
  return DatasetOfBytes(digest, bytes.ok() ? *bytes : "");
}

absl::StatusOr<uint64_t> FileDatasetStore::RemoveOlderThan(int64_t micros,
                                                           const std::set<std::string>& keep) {
  const std::lock_guard lock(mutex_);
  DDPT_ASSIGN_OR_RETURN(const auto files, ListFiles(options_.directory));
  uint64_t removed = 0;
  for (const StoredFile& file : files) {
    if (file.modified_micros >= micros || keep.contains(file.digest)) continue;
    std::error_code ignored;  // what stays is removed the next time
    removed += std::filesystem::remove(file.path, ignored);
  }
  return removed;
}

std::string FileDatasetStore::PathOf(std::string_view digest) const {
  return absl::StrCat(options_.directory, "/", Piece(digest), kFileSuffix);
}

absl::Status FileDatasetStore::CheckRoom(uint64_t size_bytes) const {
  DDPT_ASSIGN_OR_RETURN(const auto files, ListFiles(options_.directory));
  uint64_t used = 0;
  for (const StoredFile& file : files) used += file.size_bytes;
  return CheckDatasetRoom(used, size_bytes, options_.max_bytes);
}

}  // namespace ddpt
