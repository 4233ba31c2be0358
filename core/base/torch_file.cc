#include "core/base/torch_file.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/base/tensor.h"
#include "core/base/torch_pickle.h"
#include "core/base/zip.h"

namespace ddpt {
namespace {

using Entries = std::map<std::string, std::string_view>;

constexpr std::string_view kZipMagic = "PK";
constexpr std::string_view kPickle = "/data.pkl";
constexpr char kConversion[] =
    "is no zip archive: a file of PyTorch before 1.6 has to be converted by python3 -c \"import "
    "sys, torch; torch.save(torch.load(sys.argv[1], map_location='cpu'), sys.argv[2])\" OLD NEW";

template <typename... Pieces>
absl::Status Lie(const Pieces&... pieces) {
  return absl::InvalidArgumentError(absl::StrCat(pieces...));
}

// The folder that all entries lie in.
absl::StatusOr<std::string> Prefix(const Entries& entries) {
  std::string prefix;
  for (const auto& [name, bytes] : entries) {
    if (!name.ends_with(kPickle)) continue;
    if (!prefix.empty()) return Lie("has more than one data.pkl");
    prefix = name.substr(0, name.size() - kPickle.size());
  }
  if (prefix.empty()) return Lie("has no data.pkl: torch.save did not write it");
  return prefix;
}

absl::Status CheckContiguous(const PickledTensor& tensor) {
  int64_t expected = 1;
  for (size_t i = tensor.shape.size(); i-- > 0;) {
    if (tensor.shape[i] != 1 && tensor.stride[i] != expected) {
      return Lie("is not contiguous: its stride is ", ShapeString(tensor.stride), " for the shape ",
                 ShapeString(tensor.shape));
    }
    expected *= std::max<int64_t>(tensor.shape[i], 1);
  }
  return absl::OkStatus();
}

// The tensor's bytes inside its storage.
absl::StatusOr<std::string_view> BytesOf(const PickledTensor& tensor, const Entries& entries,
                                         const std::string& prefix) {
  const auto storage = entries.find(prefix + "/data/" + tensor.storage);
  if (storage == entries.end()) {
    return Lie("its storage ", absl::CHexEscape(tensor.storage), " is missing");
  }
  const std::string_view bytes = storage->second;
  if (bytes.size() % tensor.element_size != 0 ||
      bytes.size() / tensor.element_size != tensor.storage_elements) {
    return Lie("its storage has ", bytes.size(), " bytes instead of ", tensor.storage_elements,
               " elements of ", tensor.element_size);
  }
  DDPT_ASSIGN_OR_RETURN(
      const uint64_t count,
      ElementCount(tensor.shape, static_cast<uint64_t>(std::numeric_limits<int64_t>::max())));
  if (count == 0) return std::string_view();
  DDPT_RETURN_IF_ERROR(CheckContiguous(tensor));
  if (tensor.offset > tensor.storage_elements || count > tensor.storage_elements - tensor.offset) {
    return Lie(count, " elements from ", tensor.offset, " on leave its storage of ",
               tensor.storage_elements);
  }
  return bytes.substr(tensor.offset * tensor.element_size, count * tensor.element_size);
}

}  // namespace

absl::StatusOr<std::shared_ptr<const TorchFile>> TorchFile::Open(const std::string& path) {
  DDPT_ASSIGN_OR_RETURN(auto mapped, MappedFile::Open(path));
  return Read(mapped->bytes(), path, mapped);
}

absl::StatusOr<std::shared_ptr<const TorchFile>> TorchFile::Parse(std::string_view bytes,
                                                                  std::string_view name) {
  return Read(bytes, name, nullptr);
}

absl::StatusOr<std::shared_ptr<const TorchFile>> TorchFile::Read(
    std::string_view bytes, std::string_view name, std::shared_ptr<const MappedFile> mapped) {
  const std::shared_ptr<TorchFile> file(new TorchFile);
  file->file_ = std::move(mapped);
  if (absl::Status status = file->Fill(bytes); !status.ok()) return Annotate(status, name);
  return file;
}

absl::Status TorchFile::Fill(std::string_view bytes) {
  if (bytes.empty()) return Lie("is empty");
  if (!bytes.starts_with(kZipMagic)) return absl::InvalidArgumentError(kConversion);
  DDPT_ASSIGN_OR_RETURN(const Entries entries, ReadStoredZip(bytes));
  DDPT_ASSIGN_OR_RETURN(const std::string prefix, Prefix(entries));
  const auto order = entries.find(prefix + "/byteorder");
  if (order != entries.end() && order->second != "little") {
    return Lie("its byte order is not little-endian");
  }
  DDPT_ASSIGN_OR_RETURN(const auto tensors, ReadTorchPickle(entries.at(prefix + "/data.pkl")));
  for (const PickledTensor& tensor : tensors) {
    const std::string name = absl::CHexEscape(tensor.name);
    absl::StatusOr<std::string_view> view = BytesOf(tensor, entries, prefix);
    if (!view.ok()) return Annotate(view.status(), name);
    if (!tensor.dtype) {
      skipped_.push_back(tensor.name);
    } else if (!tensors_.emplace(tensor.name, TensorView{*tensor.dtype, tensor.shape, *view})
                    .second) {
      return Lie(name, ": is there twice");
    }
  }
  std::ranges::sort(skipped_);
  return absl::OkStatus();
}

}  // namespace ddpt
