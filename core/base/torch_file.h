#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/file.h"
#include "core/base/safetensors.h"

namespace ddpt {

// Read-only view of a file that torch.save wrote of a state dict (pytorch_model.bin): a zip archive
// of data.pkl, which nothing of is executed (torch_pickle.h), and one entry for each storage. Every
// tensor must be contiguous and lie inside its storage, every storage have the size that the pickle
// says, little-endian. Tensors of other element types than float32, float16, bfloat16 are listed in
// `skipped()` only. Immutable and thread-safe.
class TorchFile {
 public:
  // INVALID_ARGUMENT names the file, the tensor and the fault; for the format before PyTorch 1.6,
  // which is no zip archive, the command that converts it.
  static absl::StatusOr<std::shared_ptr<const TorchFile>> Open(const std::string& path);
  // Over bytes that the caller keeps alive; `name` stands in errors.
  static absl::StatusOr<std::shared_ptr<const TorchFile>> Parse(std::string_view bytes,
                                                                std::string_view name);

  const std::map<std::string, TensorView>& tensors() const { return tensors_; }
  const std::vector<std::string>& skipped() const { return skipped_; }
  // As of MappedFile::Release; nothing where the bytes are the caller's.
  void Release(const TensorView& view) const {
    if (file_) file_->Release(view.bytes);
  }

 private:
  TorchFile() = default;
  static absl::StatusOr<std::shared_ptr<const TorchFile>> Read(
      std::string_view bytes, std::string_view name, std::shared_ptr<const MappedFile> mapped);
  absl::Status Fill(std::string_view bytes);

  std::shared_ptr<const MappedFile> file_;
  std::map<std::string, TensorView> tensors_;
  std::vector<std::string> skipped_;
};

}  // namespace ddpt
