#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/file.h"
#include "core/base/tensor.h"

namespace ddpt {

// A tensor inside a mapped safetensors file. `bytes` is valid as long as the SafetensorsFile.
struct TensorView {
  DataType dtype;
  std::vector<int64_t> shape;
  std::string_view bytes;

  // A float32 copy of the elements.
  Tensor ToTensor() const;
};

// Read-only view of a .safetensors file (8-byte little-endian header length, JSON header, data).
// Everything in the header is checked before use: header at most 16 MiB, offsets inside the file,
// contiguous, without overlap or holes, byte length equal to shape times element size, at most
// 65,536 tensors, rank at most 8, no duplicate names. Tensors of other element types than F32, F16,
// BF16 (e.g. buffers U8, BOOL, I64) are listed in `skipped()` only. Immutable and thread-safe.
class SafetensorsFile {
 public:
  // INVALID_ARGUMENT names the file, the tensor and the lie.
  static absl::StatusOr<std::shared_ptr<const SafetensorsFile>> Open(const std::string& path);
  // Over bytes that the caller keeps alive; `name` stands in errors.
  static absl::StatusOr<std::shared_ptr<const SafetensorsFile>> Parse(std::string_view bytes,
                                                                      std::string_view name);

  const std::map<std::string, TensorView>& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const std::vector<std::string>& skipped() const { return skipped_; }
  // As of MappedFile::Release; nothing where the bytes are the caller's.
  void Release(const TensorView& view) const {
    if (file_) file_->Release(view.bytes);
  }

 private:
  SafetensorsFile() = default;
  static absl::StatusOr<std::shared_ptr<const SafetensorsFile>> Read(
      std::string_view bytes, std::string_view name, std::shared_ptr<const MappedFile> mapped);
  absl::Status Fill(std::string_view bytes);

  std::shared_ptr<const MappedFile> file_;
  std::map<std::string, TensorView> tensors_;
  std::map<std::string, std::string> metadata_;
  std::vector<std::string> skipped_;
};

// A tensor to be written; `data` is not owned.
struct TensorToWrite {
  DataType dtype = DataType::kFloat32;
  std::vector<int64_t> shape;
  std::span<const float> data;
};

// The bytes of a safetensors file. Deterministic: tensors and metadata in the order of their names,
// the data section aligned to 64 bytes. The size of each `data` must be the product of its `shape`.
std::string SerializeSafetensors(const std::map<std::string, TensorToWrite>& tensors,
                                 const std::map<std::string, std::string>& metadata);

}  // namespace ddpt
