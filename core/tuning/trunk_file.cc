#include "core/tuning/trunk_file.h"

#include <ATen/ATen.h>
#include <ATen/Version.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <torch/version.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <limits>

#include "absl/strings/str_cat.h"
#include "core/base/device.h"
#include "core/base/digest.h"
#include "core/base/status.h"
#include "core/model/device_memory.h"
#include "core/model/geometry.h"

namespace ddpt {
namespace {

namespace fs = std::filesystem;

constexpr char kExtension[] = ".trunks";
// Raised when trunks come to be computed in another way.
constexpr int kComputation = 1;
constexpr size_t kMaxRank = 8;

// Stands before each body.
struct EntryHeader {
  uint64_t size = 0;
  uint32_t checksum = 0;  // CRC-32C of key and body
  uint32_t magic = 0;
  char key[TrunkFile::kKeyBytes] = {};
};
constexpr uint32_t kMagic = 0x54726b31;

absl::Status SystemError(const std::string& path) {
  return absl::UnavailableError(absl::StrCat(path, ": ", std::strerror(errno)));
}

bool ReadAt(int descriptor, uint64_t offset, void* to, size_t size) {
  auto* bytes = static_cast<char*>(to);
  while (size > 0) {
    const ssize_t got = pread(descriptor, bytes, size, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    bytes += got, offset += got, size -= got;
  }
  return true;
}

bool WriteAt(int descriptor, uint64_t offset, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t put = pwrite(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    bytes.remove_prefix(put);
    offset += put;
  }
  return true;
}

template <typename Value>
void Append(const Value& value, std::string* out) {
  out->append(reinterpret_cast<const char*>(&value), sizeof value);
}

// The rest of `bytes` after a value; false where it is too short.
template <typename Value>
bool Take(std::string_view& bytes, Value* value) {
  if (bytes.size() < sizeof *value) return false;
  std::memcpy(value, bytes.data(), sizeof *value);
  bytes.remove_prefix(sizeof *value);
  return true;
}

// For each tensor: element type, rank, sizes, bytes.
std::string Serialize(const std::vector<at::Tensor>& tensors) {
  std::string body;
  for (const at::Tensor& tensor : tensors) {
    const at::Tensor values = tensor.detach().to(at::kCPU).contiguous();
    Append(static_cast<int32_t>(values.scalar_type()), &body);
    Append(static_cast<uint32_t>(values.dim()), &body);
    for (const int64_t size : values.sizes()) Append(size, &body);
    body.append(static_cast<const char*>(values.const_data_ptr()), values.nbytes());
  }
  return body;
}

std::optional<at::Tensor> TakeTensor(std::string_view& body) {
  int32_t type = 0;
  uint32_t rank = 0;
  if (!Take(body, &type) || !Take(body, &rank) || rank > kMaxRank) return std::nullopt;
  std::vector<int64_t> shape(rank);
  for (int64_t& size : shape) {
    if (!Take(body, &size) || size < 0) return std::nullopt;
  }
  at::Tensor tensor = at::empty(shape, static_cast<at::ScalarType>(type));
  if (tensor.nbytes() > body.size()) return std::nullopt;
  std::memcpy(tensor.mutable_data_ptr(), body.data(), tensor.nbytes());
  body.remove_prefix(tensor.nbytes());
  return tensor;
}

}  // namespace

std::string TrunkIdentity(const LanguageModel& model) {
  const ModelGeometry& geometry = model.geometry();
  // LibTorch does not tell which GPU it is, but the memory of one kind is not that of another.
  const auto memory = ReadDeviceMemory(ParseDevice(geometry.device).value_or(kCpu));
  return absl::StrCat(kComputation, " ", model.digest(), " ", Piece(ModelDtypeName(geometry.dtype)),
                      " ", geometry.device, " ", memory ? memory->total : 0, " ",
                      at::get_cpu_capability(), " ", TORCH_VERSION);
}

absl::StatusOr<std::unique_ptr<TrunkFile>> TrunkFile::Open(const std::string& directory,
                                                           const std::string& identity,
                                                           uint64_t limit_bytes) {
  std::error_code error;
  fs::create_directories(directory, error);
  const std::string path = absl::StrCat(directory, "/", Sha256Hex(identity), kExtension);
  for (const fs::directory_entry& entry : fs::directory_iterator(directory, error)) {
    if (entry.path() != path && entry.path().extension() == kExtension) {
      fs::remove(entry.path(), error);
    }
  }
  const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0) return SystemError(path);
  std::unique_ptr<TrunkFile> file(new TrunkFile(descriptor, limit_bytes));
  struct stat status {};
  if (fstat(descriptor, &status) != 0) return SystemError(path);
  file->ReadEntries(static_cast<uint64_t>(status.st_size));
  if (ftruncate(descriptor, static_cast<off_t>(file->end_)) != 0) return SystemError(path);
  return file;
}

TrunkFile::~TrunkFile() { close(descriptor_); }

void TrunkFile::ReadEntries(uint64_t file_size) {
  EntryHeader header;
  while (file_size - end_ >= sizeof header) {
    if (!ReadAt(descriptor_, end_, &header, sizeof header) || header.magic != kMagic) return;
    if (header.size > file_size - end_ - sizeof header) return;
    const std::string key(header.key, kKeyBytes);
    entries_[key] = {end_ + sizeof header, header.size, header.checksum};
    end_ += sizeof header + header.size;
  }
}

std::optional<std::vector<at::Tensor>> TrunkFile::Get(const std::string& key) const {
  Entry entry;
  {
    std::lock_guard lock(mutex_);
    const auto found = entries_.find(key);
    if (found == entries_.end()) return std::nullopt;
    entry = found->second;
  }
  std::string bytes = key;
  bytes.resize(kKeyBytes + entry.size);
  if (!ReadAt(descriptor_, entry.offset, bytes.data() + kKeyBytes, entry.size) ||
      Crc32c(bytes) != entry.checksum) {
    return std::nullopt;
  }
  std::string_view body = std::string_view(bytes).substr(kKeyBytes);
  std::vector<at::Tensor> tensors;
  while (!body.empty()) {
    std::optional<at::Tensor> tensor = TakeTensor(body);
    if (!tensor) return std::nullopt;
    tensors.push_back(*std::move(tensor));
  }
  return tensors;
}

void TrunkFile::Put(const std::string& key, const std::vector<at::Tensor>& tensors) {
  const std::string body = Serialize(tensors);
  EntryHeader header{.size = body.size(), .checksum = Crc32c(key + body), .magic = kMagic};
  std::memcpy(header.key, key.data(), kKeyBytes);
  std::string bytes;
  Append(header, &bytes);
  bytes += body;
  std::lock_guard lock(mutex_);
  if (entries_.contains(key) || end_ > limit_bytes_ || bytes.size() > limit_bytes_ - end_) return;
  if (!WriteAt(descriptor_, end_, bytes)) return;  // the next entry overwrites what came of it
  entries_[key] = {end_ + sizeof header, body.size(), header.checksum};
  end_ += bytes.size();
}

size_t TrunkFile::entries() const {
  std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace ddpt
