#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "core/model/language_model.h"

namespace ddpt {

// What a cached trunk depends on beside its example: the model and how it computes.
std::string TrunkIdentity(const LanguageModel& model);

// Trunks of examples that memory has no room for, in one file that only grows. A cache: what is
// missing or damaged is computed again, and the file may be deleted at any time. It is read by
// position rather than mapped, so that a file that was cut short gives a missing entry and not a
// signal. Thread-safe; blocks on the file system.
class TrunkFile {
 public:
  static constexpr size_t kKeyBytes = 32;

  // The file of this identity in `directory`, which is made; the files of others are removed. What
  // stands in it after an entry that was not finished is cut off. It grows to `limit_bytes`.
  // Errors name the path.
  static absl::StatusOr<std::unique_ptr<TrunkFile>> Open(const std::string& directory,
                                                         const std::string& identity,
                                                         uint64_t limit_bytes);
  ~TrunkFile();
  TrunkFile(const TrunkFile&) = delete;
  TrunkFile& operator=(const TrunkFile&) = delete;

  // Tensors on the processor, bit for bit as they were put; nothing where there is no such entry or
  // its checksum is wrong. `key` has kKeyBytes.
  std::optional<std::vector<at::Tensor>> Get(const std::string& key) const;
  // Keeps copies. Nothing happens where the key is there, the limit is reached, or the disk is
  // full.
  void Put(const std::string& key, const std::vector<at::Tensor>& tensors);

  size_t entries() const;

 private:
  struct Entry {
    uint64_t offset = 0, size = 0;  // of the body
    uint32_t checksum = 0;
  };

  TrunkFile(int descriptor, uint64_t limit_bytes)
      : descriptor_(descriptor), limit_bytes_(limit_bytes) {}
  void ReadEntries(uint64_t file_size);

  const int descriptor_;
  const uint64_t limit_bytes_;
  mutable std::mutex mutex_;
  // Guarded by mutex_:
  std::map<std::string, Entry> entries_;
  uint64_t end_ = 0;
};

}  // namespace ddpt
