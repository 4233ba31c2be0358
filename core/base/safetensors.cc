#include "core/base/safetensors.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/safetensors_header.h"
#include "core/base/status.h"
#include "nlohmann/json.hpp"

namespace ddpt {
namespace {

using nlohmann::json;

constexpr uint64_t kMaxHeaderBytes = 16 << 20;
constexpr size_t kLengthBytes = 8;
constexpr size_t kDataAlignment = 64;

template <typename... Pieces>
absl::Status Lie(const Pieces&... pieces) {
  return absl::InvalidArgumentError(absl::StrCat(pieces...));
}

absl::StatusOr<uint64_t> HeaderLength(std::string_view bytes) {
  if (bytes.size() < kLengthBytes) {
    return Lie(bytes.size(), " bytes are too few for the header length");
  }
  uint64_t length;
  std::memcpy(&length, bytes.data(), sizeof(length));
  if (length > kMaxHeaderBytes) {
    return Lie("the header length ", length, " is above the limit of ", kMaxHeaderBytes);
  }
  if (length > bytes.size() - kLengthBytes) {
    return Lie("the header length ", length, " leaves the file of ", bytes.size(), " bytes");
  }
  return length;
}

}  // namespace

Tensor TensorView::ToTensor() const { return {shape, DecodeElements(bytes, dtype)}; }

absl::StatusOr<std::shared_ptr<const SafetensorsFile>> SafetensorsFile::Open(
    const std::string& path) {
  DDPT_ASSIGN_OR_RETURN(auto mapped, MappedFile::Open(path));
  return Read(mapped->bytes(), path, mapped);
}

absl::StatusOr<std::shared_ptr<const SafetensorsFile>> SafetensorsFile::Parse(
    std::string_view bytes, std::string_view name) {
  return Read(bytes, name, nullptr);
}

absl::StatusOr<std::shared_ptr<const SafetensorsFile>> SafetensorsFile::Read(
    std::string_view bytes, std::string_view name, std::shared_ptr<const MappedFile> mapped) {
  const std::shared_ptr<SafetensorsFile> file(new SafetensorsFile);
  file->file_ = std::move(mapped);
  if (absl::Status status = file->Fill(bytes); !status.ok()) return Annotate(status, name);
  return file;
}

absl::Status SafetensorsFile::Fill(std::string_view bytes) {
  DDPT_ASSIGN_OR_RETURN(const uint64_t header_length, HeaderLength(bytes));
  const std::string_view text = bytes.substr(kLengthBytes, header_length);
  const std::string_view data = bytes.substr(kLengthBytes + header_length);
  DDPT_ASSIGN_OR_RETURN(SafetensorsHeader header, ParseSafetensorsHeader(text, data.size()));
  metadata_ = std::move(header.metadata);
  for (SafetensorsEntry& entry : header.entries) {
    if (!entry.dtype.has_value()) {
      skipped_.push_back(std::move(entry.name));
      continue;
    }
    const std::string_view view = data.substr(entry.begin, entry.end - entry.begin);
    tensors_.emplace(std::move(entry.name), TensorView{*entry.dtype, std::move(entry.shape), view});
  }
  std::ranges::sort(skipped_);
  return absl::OkStatus();
}

std::string SerializeSafetensors(const std::map<std::string, TensorToWrite>& tensors,
                                 const std::map<std::string, std::string>& metadata) {
  json header = json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  uint64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    const uint64_t end = offset + tensor.data.size() * ElementSize(tensor.dtype);
    header[name] = {{"dtype", SafetensorsTypeName(tensor.dtype)},
                    {"shape", tensor.shape},
                    {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump(-1, ' ', false, json::error_handler_t::replace);
  const size_t unpadded = kLengthBytes + text.size();
  text.append((kDataAlignment - unpadded % kDataAlignment) % kDataAlignment, ' ');
  const uint64_t length = text.size();
  std::string bytes(reinterpret_cast<const char*>(&length), sizeof(length));
  bytes.reserve(kLengthBytes + length + offset);
  bytes += text;
  for (const auto& [name, tensor] : tensors) {
    bytes += EncodeElements(tensor.data, tensor.dtype);
  }
  return bytes;
}

}  // namespace ddpt
