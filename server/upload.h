#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/digest.h"

namespace ddpt {

// A file that arrives in chunks: bounded, without a name to others, gone with the object or the
// process. Blocks on storage; not thread-safe.
class Upload {
 public:
  // `directory` exists. RESOURCE_EXHAUSTED where the disk is full.
  static absl::StatusOr<std::unique_ptr<Upload>> Create(const std::string& directory,
                                                        uint64_t limit_bytes);
  ~Upload();

  // INVALID_ARGUMENT naming the limit; RESOURCE_EXHAUSTED where the disk is full.
  absl::Status Append(std::string_view bytes);
  // Of all bytes so far, hexadecimal; ends the appending.
  std::string Finish();
  // All bytes, valid as long as the object.
  absl::StatusOr<std::string_view> Map();

 private:
  Upload(int descriptor, uint64_t limit_bytes)
      : descriptor_(descriptor), limit_bytes_(limit_bytes) {}

  const int descriptor_;
  const uint64_t limit_bytes_;
  uint64_t size_ = 0;
  void* mapped_ = nullptr;
  Sha256 sha256_;
};

}  // namespace ddpt
