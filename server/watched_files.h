#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace ddpt {

// Small files that may be replaced while the server runs. They are read when asked for, at most
// once a second, so a new file is noticed by the first question a second after the last. Blocks on
// the file system. Thread-safe.
class WatchedFiles {
 public:
  // At most 1 MiB each.
  explicit WatchedFiles(std::vector<std::string> paths) : paths_(std::move(paths)) {}

  // The texts of all files in order where one has changed, at the first call always; nothing where
  // all are as before or were read within the last second. The error of reading, naming the file,
  // is told once until it changes.
  absl::StatusOr<std::optional<std::vector<std::string>>> Poll();

 private:
  absl::StatusOr<std::vector<std::string>> Read() const;

  const std::vector<std::string> paths_;
  std::mutex mutex_;
  // Guarded by mutex_:
  std::optional<std::chrono::steady_clock::time_point> read_;
  std::vector<std::string> texts_;
  absl::Status status_;
};

}  // namespace ddpt
