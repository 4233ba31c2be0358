#include "core/base/file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

absl::StatusCode CodeOf(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return absl::StatusCode::kNotFound;
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::StatusCode::kPermissionDenied;
    case ENOSPC:
    case EDQUOT:
      return absl::StatusCode::kResourceExhausted;
    default:
      return absl::StatusCode::kUnavailable;
  }
}

absl::Status SystemError(std::string_view action, const std::string& path) {
  const int error = errno;
  return {CodeOf(error), absl::StrCat("cannot ", Piece(action), " ", path, ": ", strerror(error))};
}

class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return value_; }
  int Release() { return std::exchange(value_, -1); }

 private:
  int value_;
};

// Does not wait for someone to write into a pipe.
int OpenToRead(const std::string& path) {
  return open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

absl::StatusOr<uint64_t> RegularFileSize(int descriptor, const std::string& path) {
  struct stat info;
  if (fstat(descriptor, &info) != 0) return SystemError("inspect", path);
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat("cannot read ", path, ": not a regular file"));
  }
  return static_cast<uint64_t>(info.st_size);
}

absl::Status WriteAll(int descriptor, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return SystemError("write", path);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

absl::Status SyncFolder(const std::string& folder) {
  const Descriptor descriptor(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (descriptor.get() < 0) return SystemError("open", folder);
  if (fsync(descriptor.get()) != 0) return SystemError("sync", folder);
  return absl::OkStatus();
}

std::string FolderOf(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

absl::Status FillAndRename(int descriptor, std::string_view bytes, const std::string& temporary,
                           const std::string& path) {
  DDPT_RETURN_IF_ERROR(WriteAll(descriptor, bytes, path));
  if (fchmod(descriptor, 0644) != 0) return SystemError("set the mode of", path);
  if (fsync(descriptor) != 0) return SystemError("sync", path);
  if (rename(temporary.c_str(), path.c_str()) != 0) return SystemError("rename to", path);
  return absl::OkStatus();
}

std::string HolderOf(int descriptor) {
  char text[24];
  const ssize_t length = pread(descriptor, text, sizeof(text), 0);
  std::string_view pid(text, length > 0 ? static_cast<size_t>(length) : 0);
  pid = pid.substr(0, pid.find_first_not_of("0123456789"));
  return pid.empty() ? "another process" : absl::StrCat("process ", Piece(pid));
}

}  // namespace

absl::StatusOr<std::string> ReadFile(const std::string& path, uint64_t limit_bytes) {
  const Descriptor descriptor(OpenToRead(path));
  if (descriptor.get() < 0) return SystemError("open", path);
  DDPT_ASSIGN_OR_RETURN(const uint64_t size, RegularFileSize(descriptor.get(), path));
  if (size > limit_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " has ", size, " bytes, more than the ", limit_bytes, " allowed"));
  }
  std::string bytes(size, '\0');
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = read(descriptor.get(), bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return SystemError("read", path);
    if (count == 0) break;
    done += static_cast<size_t>(count);
  }
  bytes.resize(done);
  return bytes;
}

absl::Status WriteFileAtomic(const std::string& path, std::string_view bytes) {
  struct stat before;
  if (stat(path.c_str(), &before) == 0 && !S_ISREG(before.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is not a regular file"));
  }
  std::string temporary = absl::StrCat(path, ".tmp.XXXXXX");
  const Descriptor descriptor(mkostemp(temporary.data(), O_CLOEXEC));
  if (descriptor.get() < 0) return SystemError("create", temporary);
  if (absl::Status status = FillAndRename(descriptor.get(), bytes, temporary, path); !status.ok()) {
    unlink(temporary.c_str());
    return status;
  }
  return SyncFolder(FolderOf(path));
}

absl::StatusOr<std::shared_ptr<const MappedFile>> MappedFile::Open(const std::string& path) {
  const Descriptor descriptor(OpenToRead(path));
  if (descriptor.get() < 0) return SystemError("open", path);
  DDPT_ASSIGN_OR_RETURN(const uint64_t size, RegularFileSize(descriptor.get(), path));
  if (size == 0) return std::shared_ptr<const MappedFile>(new MappedFile({}));
  void* address = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor.get(), 0);
  if (address == MAP_FAILED) return SystemError("map", path);
  return std::shared_ptr<const MappedFile>(
      new MappedFile(std::string_view(static_cast<const char*>(address), size)));
}

void MappedFile::Release(std::string_view part) const {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(part.data());
  const uintptr_t first = (begin + page - 1) / page * page;
  const uintptr_t last = (begin + part.size()) / page * page;
  const bool inside =
      part.data() >= bytes_.data() && part.data() + part.size() <= bytes_.data() + bytes_.size();
  if (inside && first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) munmap(const_cast<char*>(bytes_.data()), bytes_.size());
}

absl::StatusOr<std::unique_ptr<FileLock>> FileLock::Acquire(const std::string& path) {
  Descriptor descriptor(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (descriptor.get() < 0) return SystemError("open", path);
  if (flock(descriptor.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return SystemError("lock", path);
    return absl::FailedPreconditionError(
        absl::StrCat(path, " is locked by ", HolderOf(descriptor.get())));
  }
  if (ftruncate(descriptor.get(), 0) != 0) return SystemError("write", path);
  DDPT_RETURN_IF_ERROR(WriteAll(descriptor.get(), absl::StrCat(getpid(), "\n"), path));
  return std::unique_ptr<FileLock>(new FileLock(descriptor.Release()));
}

FileLock::~FileLock() { close(descriptor_); }

}  // namespace ddpt
