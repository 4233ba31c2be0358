#include "core/model/state_dict.h"

#include <ATen/ATen.h>

#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "core/base/safetensors.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

constexpr uint64_t kMaxIndexBytes = 64 << 20;
constexpr size_t kMaxListed = 20;

using Files = std::vector<std::shared_ptr<const SafetensorsFile>>;

bool IsBuffer(std::string_view name) {
  return name.ends_with(".causal_mask") || name.ends_with(".scale_attn");
}

at::ScalarType TorchType(DataType dtype) {
  switch (dtype) {
    case DataType::kFloat16:
      return at::kHalf;
    case DataType::kBFloat16:
      return at::kBFloat16;
    case DataType::kFloat32:
      break;
  }
  return at::kFloat;
}

// The shard of each tensor, as the index has it.
absl::StatusOr<std::map<std::string, std::string>> ReadIndex(const std::string& path) {
  DDPT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxIndexBytes));
  const auto root = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!root.is_object() || !root.contains("weight_map") || !root["weight_map"].is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": has no object \"weight_map\""));
  }
  std::map<std::string, std::string> shards;
  for (const auto& [name, shard] : root["weight_map"].items()) {
    const std::string file = shard.is_string() ? shard.get<std::string>() : "";
    if (!file.ends_with(".safetensors") || file.find('/') != std::string::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": weight_map.", name, ": is not the name of a .safetensors file"));
    }
    shards[name] = file;
  }
  return shards;
}

absl::Status CheckShard(const SafetensorsFile& shard, const std::string& file,
                        const std::map<std::string, std::string>& index) {
  for (const auto& [name, unused] : shard.tensors()) {
    const auto found = index.find(name);
    if (IsBuffer(name) || (found != index.end() && found->second == file)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(file, ": ", name, ": the index does not place this tensor here"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Files> OpenFiles(const std::string& directory) {
  Files files;
  const std::string single = directory + "/model.safetensors";
  absl::StatusOr<std::shared_ptr<const SafetensorsFile>> file = SafetensorsFile::Open(single);
  if (file.ok()) {
    files.push_back(*std::move(file));
    return files;
  }
  if (!absl::IsNotFound(file.status())) return file.status();
  absl::StatusOr<std::map<std::string, std::string>> index = ReadIndex(single + ".index.json");
  if (absl::IsNotFound(index.status())) {
    return absl::NotFoundError(
        absl::StrCat(directory,
                     ": has neither model.safetensors nor model.safetensors.index.json; weights in "
                     "pytorch_model.bin have to be converted to safetensors"));
  }
  DDPT_RETURN_IF_ERROR(index.status());
  std::set<std::string> names;
  for (const auto& [tensor, shard] : *index) names.insert(shard);
  for (const std::string& name : names) {
    DDPT_ASSIGN_OR_RETURN(auto shard, SafetensorsFile::Open(directory + "/" + name));
    DDPT_RETURN_IF_ERROR(CheckShard(*shard, name, *index));
    files.push_back(std::move(shard));
  }
  return files;
}

void Hash(const std::string& name, const TensorView& view, Sha256* hash) {
  hash->Update(absl::StrCat(name, "\n", Piece(DataTypeName(view.dtype)), "\n",
                            ShapeString(view.shape), "\n", view.bytes.size(), "\n"));
  hash->Update(view.bytes);
}

absl::StatusOr<at::Tensor> ReadTensor(const std::string& name, const TensorView& view,
                                      const LoadOptions& options) {
  // from_blob wants a mutable pointer; the view is copied and never written.
  const at::Tensor stored = at::from_blob(const_cast<char*>(view.bytes.data()), view.shape,
                                          at::TensorOptions(TorchType(view.dtype)));
  at::Tensor weight = stored.to(TorchType(options.dtype), /*non_blocking=*/false, /*copy=*/true);
  // A sum is finite only where every term is, and overflow is no weight either.
  if (!std::isfinite(at::sum(weight, at::kDouble).item<double>())) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": has values that are not finite as ",
                                                   Piece(DataTypeName(options.dtype))));
  }
  return weight.to(at::Device(options.device));
}

std::string List(const char* title, const std::vector<std::string>& names) {
  if (names.empty()) return "";
  const size_t listed = std::min(names.size(), kMaxListed);
  std::string text = absl::StrCat("; ", names.size(), " ", title, ": ",
                                  absl::StrJoin(names.begin(), names.begin() + listed, ", "));
  if (listed < names.size()) absl::StrAppend(&text, ", ...");
  return text;
}

std::string HexDigest(Sha256& hash) {
  std::string hex;
  for (const char byte : hash.Finish()) {
    absl::StrAppend(&hex, absl::Hex(static_cast<unsigned char>(byte), absl::kZeroPad2));
  }
  return hex;
}

}  // namespace

absl::Status CheckShapes(const TensorShapes& expected, const TensorShapes& found,
                         std::string_view name) {
  std::vector<std::string> missing, surplus, misshaped;
  for (const auto& [tensor, shape] : expected) {
    const auto match = found.find(tensor);
    if (match == found.end()) {
      missing.push_back(tensor);
    } else if (match->second != shape) {
      misshaped.push_back(absl::StrCat(tensor, " ", ShapeString(match->second), " instead of ",
                                       ShapeString(shape)));
    }
  }
  for (const auto& [tensor, shape] : found) {
    if (!expected.contains(tensor)) surplus.push_back(tensor);
  }
  if (missing.empty() && surplus.empty() && misshaped.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      Piece(name), ": the weights do not fit the configuration", List("missing", missing),
      List("surplus", surplus), List("mis-shaped", misshaped)));
}

absl::StatusOr<StoredWeights> ReadWeights(const std::string& directory,
                                          const TensorShapes& expected, const LoadOptions& options,
                                          std::string_view salt) {
  DDPT_ASSIGN_OR_RETURN(const Files files, OpenFiles(directory));
  std::map<std::string, const TensorView*> views;
  TensorShapes found;
  for (const auto& file : files) {
    for (const auto& [name, view] : file->tensors()) {
      if (IsBuffer(name)) continue;
      views[name] = &view;
      found[name] = view.shape;
    }
  }
  DDPT_RETURN_IF_ERROR(CheckShapes(expected, found, directory));
  StoredWeights weights;
  Sha256 hash;
  hash.Update(salt);
  for (const auto& [name, view] : views) {
    Hash(name, *view, &hash);
    absl::StatusOr<at::Tensor> tensor = ReadTensor(name, *view, options);
    if (!tensor.ok()) return Annotate(tensor.status(), directory);
    weights.tensors[name] = *std::move(tensor);
  }
  weights.digest = HexDigest(hash);
  return weights;
}

absl::Status WriteWeights(const std::string& directory, const StateDict& tensors, DataType dtype) {
  StateDict kept;  // float32 copies that the spans below point into
  std::map<std::string, TensorToWrite> out;
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor& values = kept[name] =
        tensor.detach().to(at::Device(at::kCPU), at::kFloat).contiguous();
    out[name] = {.dtype = dtype,
                 .shape = values.sizes().vec(),
                 .data = {values.const_data_ptr<float>(), static_cast<size_t>(values.numel())}};
  }
  return WriteFileAtomic(directory + "/model.safetensors",
                         SerializeSafetensors(out, {{"format", "pt"}}));
}

}  // namespace ddpt
