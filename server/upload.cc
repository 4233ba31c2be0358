#include "server/upload.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

absl::Status SystemError(const std::string& what, int error) {
  const std::string message = absl::StrCat(what, ": ", std::strerror(error));
  if (error == ENOSPC || error == EDQUOT) return absl::ResourceExhaustedError(message);
  return absl::UnavailableError(message);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Upload>> Upload::Create(const std::string& directory,
                                                       uint64_t limit_bytes) {
  std::string path = directory + "/upload-XXXXXX";
  const int descriptor = mkostemp(path.data(), O_CLOEXEC);
  if (descriptor < 0) return SystemError(directory, errno);
  unlink(path.c_str());
  return std::unique_ptr<Upload>(new Upload(descriptor, limit_bytes));
}

Upload::~Upload() {
  if (mapped_ != nullptr) munmap(mapped_, size_);
  close(descriptor_);
}

absl::Status Upload::Append(std::string_view bytes) {
  if (bytes.size() > limit_bytes_ - size_) {
    return FieldError("chunk", absl::StrCat("more than the limit of ", limit_bytes_,
                                            " bytes for a file have arrived"));
  }
  sha256_.Update(bytes);
  size_ += bytes.size();
  while (!bytes.empty()) {
    const ssize_t written = write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return SystemError("writing the upload", errno);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

std::string Upload::Finish() { return absl::BytesToHexString(sha256_.Finish()); }

absl::StatusOr<std::string_view> Upload::Map() {
  if (size_ == 0) return std::string_view();
  if (mapped_ == nullptr) {
    void* mapped = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor_, 0);
    if (mapped == MAP_FAILED) return SystemError("reading the upload", errno);
    mapped_ = mapped;
  }
  return std::string_view(static_cast<const char*>(mapped_), size_);
}

}  // namespace ddpt
