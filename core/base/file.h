#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace ddpt {

// All functions block on the file system and are thread-safe. Errors name the path and the system's
// reason: NOT_FOUND, PERMISSION_DENIED, RESOURCE_EXHAUSTED (disk full), INVALID_ARGUMENT (a folder
// or a pipe where a regular file is needed), else UNAVAILABLE.

// The whole file; INVALID_ARGUMENT when it is larger than `limit_bytes`.
absl::StatusOr<std::string> ReadFile(const std::string& path, uint64_t limit_bytes);

// Writes to a temporary name in the same folder, syncs, renames, syncs the folder: readers see the
// old file or the new, and a crash leaves no half of either. On error the old file is untouched and
// the temporary one removed, but for an error in the last step, which leaves the new file.
// INVALID_ARGUMENT where something else than a regular file has the name: a device would be lost.
absl::Status WriteFileAtomic(const std::string& path, std::string_view bytes);

// A file mapped read-only for as long as the object lives. Immutable, thread-safe.
class MappedFile {
 public:
  static absl::StatusOr<std::shared_ptr<const MappedFile>> Open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::string_view bytes() const { return bytes_; }
  // Lets the system take the memory of a part back, for large files that are read once. The bytes
  // stay readable: they come from the file again.
  void Release(std::string_view part) const;

 private:
  explicit MappedFile(std::string_view bytes) : bytes_(bytes) {}
  std::string_view bytes_;
};

// An exclusive lock on a file (created if missing), held until destruction or the end of the
// process. FAILED_PRECONDITION naming the path and the holder's process id when another process
// holds it.
class FileLock {
 public:
  static absl::StatusOr<std::unique_ptr<FileLock>> Acquire(const std::string& path);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

}  // namespace ddpt
