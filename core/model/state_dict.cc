#include "core/model/state_dict.h"

#include <ATen/ATen.h>

#include <cmath>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "core/base/safetensors.h"
#include "core/base/status.h"
#include "core/base/torch_file.h"

namespace ddpt {
namespace {

constexpr uint64_t kMaxIndexBytes = 64 << 20;

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

// A file of weights, whatever its format.
struct WeightFile {
  const std::map<std::string, TensorView>* tensors;
  std::function<void(const TensorView&)> release;  // holds the file
};

template <typename File>
absl::StatusOr<WeightFile> OpenAs(const std::string& path) {
  DDPT_ASSIGN_OR_RETURN(std::shared_ptr<const File> file, File::Open(path));
  return WeightFile{&file->tensors(), [file](const TensorView& view) { file->Release(view); }};
}

// The formats in the order in which they are looked for.
struct Format {
  const char* single;     // of all weights; with ".index.json": the list of shards
  const char* extension;  // of shards
  absl::StatusOr<WeightFile> (*open)(const std::string& path);
};
constexpr Format kFormats[] = {
    {"model.safetensors", ".safetensors", OpenAs<SafetensorsFile>},
    {"pytorch_model.bin", ".bin", OpenAs<TorchFile>},
};

// The shard of each tensor, as the index has it.
absl::StatusOr<std::map<std::string, std::string>> ReadIndex(const std::string& path,
                                                             const Format& format) {
  DDPT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxIndexBytes));
  const auto root = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!root.is_object() || !root.contains("weight_map") || !root["weight_map"].is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": has no object \"weight_map\""));
  }
  std::map<std::string, std::string> shards;
  for (const auto& [name, shard] : root["weight_map"].items()) {
    const std::string file = shard.is_string() ? shard.get<std::string>() : "";
    if (!file.ends_with(format.extension) || file.find('/') != std::string::npos) {
      return absl::InvalidArgumentError(absl::StrCat(
          path, ": weight_map.", name, ": is not the name of a ", format.extension, " file"));
    }
    shards[name] = file;
  }
  return shards;
}

absl::Status CheckShard(const WeightFile& shard, const std::string& file,
                        const std::map<std::string, std::string>& index, const IsIgnored& ignored) {
  for (const auto& [name, unused] : *shard.tensors) {
    const auto found = index.find(name);
    if (ignored(name) || (found != index.end() && found->second == file)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(file, ": ", name, ": the index does not place this tensor here"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<WeightFile>> OpenShards(const std::string& directory,
                                                   const std::map<std::string, std::string>& index,
                                                   const Format& format, const IsIgnored& ignored) {
  std::set<std::string> names;
  for (const auto& [tensor, shard] : index) names.insert(shard);
  std::vector<WeightFile> files;
  for (const std::string& name : names) {
    DDPT_ASSIGN_OR_RETURN(WeightFile shard, format.open(directory + "/" + name));
    DDPT_RETURN_IF_ERROR(CheckShard(shard, name, index, ignored));
    files.push_back(std::move(shard));
  }
  return files;
}

absl::StatusOr<std::vector<WeightFile>> OpenFiles(const std::string& directory,
                                                  const IsIgnored& ignored) {
  for (const Format& format : kFormats) {
    const std::string single = directory + "/" + format.single;
    absl::StatusOr<WeightFile> file = format.open(single);
    if (file.ok()) return std::vector<WeightFile>{*std::move(file)};
    if (!absl::IsNotFound(file.status())) return file.status();
    const auto index = ReadIndex(single + ".index.json", format);
    if (index.ok()) return OpenShards(directory, *index, format, ignored);
    if (!absl::IsNotFound(index.status())) return index.status();
  }
  return absl::NotFoundError(
      absl::StrCat(directory,
                   ": has no weights: neither model.safetensors nor pytorch_model.bin, nor an "
                   "index.json of one's shards"));
}

// The tensors of a directory, all of which the configuration calls for.
struct CheckedWeights {
  struct Source {
    const TensorView* view;
    const WeightFile* file;
  };
  std::vector<WeightFile> files;
  std::map<std::string, Source> tensors;
};

absl::StatusOr<CheckedWeights> OpenChecked(const std::string& directory,
                                           const TensorShapes& expected, const IsIgnored& ignored) {
  CheckedWeights weights;
  DDPT_ASSIGN_OR_RETURN(weights.files, OpenFiles(directory, ignored));
  TensorShapes found;
  for (const WeightFile& file : weights.files) {
    for (const auto& [name, view] : *file.tensors) {
      if (ignored(name)) continue;
      weights.tensors[name] = {&view, &file};
      found[name] = view.shape;
    }
  }
  DDPT_RETURN_IF_ERROR(CheckShapes(expected, found, directory));
  return weights;
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

std::string HexDigest(Sha256& hash) {
  std::string hex;
  for (const char byte : hash.Finish()) {
    absl::StrAppend(&hex, absl::Hex(static_cast<unsigned char>(byte), absl::kZeroPad2));
  }
  return hex;
}

}  // namespace

ModelGeometry OnDevice(ModelGeometry geometry, const StateDict& weights) {
  const at::Tensor& any = weights.begin()->second;
  geometry.dtype = any.scalar_type() == at::kBFloat16 ? DataType::kBFloat16 : DataType::kFloat32;
  geometry.device = any.device().str();
  return geometry;
}

absl::StatusOr<uint64_t> CheckWeights(const std::string& directory, const TensorShapes& expected,
                                      const IsIgnored& ignored) {
  DDPT_ASSIGN_OR_RETURN(const CheckedWeights weights, OpenChecked(directory, expected, ignored));
  uint64_t bytes = 0;
  for (const auto& [name, source] : weights.tensors) bytes += source.view->bytes.size();
  return bytes;
}

absl::StatusOr<StoredWeights> ReadWeights(const std::string& directory,
                                          const TensorShapes& expected, const IsIgnored& ignored,
                                          const LoadOptions& options, std::string_view salt) {
  DDPT_ASSIGN_OR_RETURN(const CheckedWeights stored, OpenChecked(directory, expected, ignored));
  StoredWeights weights;
  Sha256 hash;
  hash.Update(salt);
  for (const auto& [name, source] : stored.tensors) {
    Hash(name, *source.view, &hash);
    absl::StatusOr<at::Tensor> tensor = ReadTensor(name, *source.view, options);
    if (!tensor.ok()) return Annotate(tensor.status(), directory);
    weights.tensors[name] = *std::move(tensor);
    source.file->release(*source.view);
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
