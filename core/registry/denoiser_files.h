#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/file.h"

namespace ddpt {

// The denoiser files of one server, <state>/denoisers/<sha256>.safetensors, and its claim on the
// state directory: <state>/lock is held as long as the object lives. Thread-safe. Blocks on the
// file system.
class DenoiserFiles {
 public:
  // Creates the directory where it is missing. FAILED_PRECONDITION, naming the lock and its holder,
  // when another server has it.
  static absl::StatusOr<std::unique_ptr<DenoiserFiles>> Open(const std::string& state_directory);

  std::string PathOf(std::string_view digest) const;
  bool Has(std::string_view digest) const;
  absl::Status Put(std::string_view digest, std::string_view bytes) const;
  // What stays is removed by RemoveOthers. Those who have mapped a file keep it.
  void Remove(std::string_view digest) const;
  // Removes the files, and the temporary ones that a crash has left, that are not `used`.
  absl::Status RemoveOthers(
      const std::function<absl::StatusOr<bool>(const std::string& digest)>& used) const;

 private:
  DenoiserFiles(std::string directory, std::unique_ptr<FileLock> lock)
      : directory_(std::move(directory)), lock_(std::move(lock)) {}

  const std::string directory_;
  const std::unique_ptr<FileLock> lock_;
};

}  // namespace ddpt
