#include "core/model/state_dict.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "core/base/memory.h"
#include "core/base/safetensors.h"
#include "core/base/status.h"
#include "core/base/torch_file.h"
#include "core/model/weight_memory.h"

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

uint64_t StoredBytes(const CheckedWeights& weights) {
  uint64_t bytes = 0;
  for (const auto& [name, source] : weights.tensors) bytes += source.view->bytes.size();
  return bytes;
}

void HashHeader(const std::string& name, const TensorView& view, Sha256* hash) {
  hash->Update(absl::StrCat(name, "\n", Piece(DataTypeName(view.dtype)), "\n",
                            ShapeString(view.shape), "\n", view.bytes.size(), "\n"));
}

// Of activations, and of what is no matrix.
at::ScalarType ComputeType(ModelDtype dtype) {
  if (dtype == ModelDtype::kFloat32) return at::kFloat;
  return dtype == ModelDtype::kFloat16 ? at::kHalf : at::kBFloat16;
}

// kAuto resolved.
ModelDtype Resolve(const LoadOptions& options, const TensorShapes& shapes) {
  if (options.dtype != ModelDtype::kAuto) return options.dtype;
  const std::optional<uint64_t> free = FreeMemory();
  const bool has_room = !free || KeptBytes(shapes, ModelDtype::kFloat32) <= *free / 2;
  return options.device == "cpu" && has_room ? ModelDtype::kFloat32 : ModelDtype::kBFloat16;
}

// A scalar where the values are. The smallest and the largest are NaN where one value is; overflow
// is no weight either.
at::Tensor IsFinite(const at::Tensor& values) {
  const auto [smallest, largest] = at::aminmax(values);
  return at::isfinite(smallest).logical_and_(at::isfinite(largest));
}

// The largest weight of each output becomes 127 or a little less: the scale is rounded up to
// bfloat16 first, so that products lose nothing by it.
std::pair<at::Tensor, at::Tensor> Quantize(const at::Tensor& rows) {
  const at::Tensor wide = rows.to(at::kFloat);
  const at::Tensor exact = at::clamp_min(wide.abs().amax(1), 1e-30) / 127;
  const at::Tensor scale = (exact * (1 + 1.0 / 256)).to(at::kBFloat16);
  return {at::round(wide / scale.to(at::kFloat).unsqueeze(1)).to(at::kChar), scale};
}

// Rows of a stored tensor: a piece small enough for a cache.
TensorView Rows(const TensorView& view, int64_t first, int64_t count) {
  const size_t row = view.bytes.size() / static_cast<size_t>(view.shape[0]);
  TensorView piece{view.dtype, view.shape, view.bytes.substr(first * row, count * row)};
  piece.shape[0] = count;
  return piece;
}

// Memory that belongs to a mapped file and is only read: from_blob wants a mutable pointer.
at::Tensor Wrap(const TensorView& view) {
  return at::from_blob(const_cast<char*>(view.bytes.data()), view.shape,
                       at::TensorOptions(TorchType(view.dtype)));
}

// Calls visit(first row, rows) for the tensor piece by piece, and gives the memory of each back.
template <typename Visit>
void ForEachPiece(const CheckedWeights::Source& source, const Visit& visit) {
  constexpr uint64_t kPieceBytes = 1 << 20;
  const int64_t rows = source.view->shape[0];
  const uint64_t row_bytes = source.view->bytes.size() / static_cast<uint64_t>(rows);
  const auto step = static_cast<int64_t>(std::max<uint64_t>(1, kPieceBytes / row_bytes));
  for (int64_t first = 0; first < rows; first += step) {
    const int64_t count = std::min(step, rows - first), before = std::min(step, first);
    visit(first, Rows(*source.view, first, count));
    // Reading maps pages around those that are read, so the end of the piece before is back.
    source.file->release(Rows(*source.view, first - before, before + count));
  }
}

// Where the pieces of one weight go. Converts them there: a GPU is quicker at it.
class WeightSink {
 public:
  WeightSink(const std::string& name, const std::vector<int64_t>& shape, ModelDtype dtype,
             const at::Device& device, WeightMemory* memory, StateDict* out) {
    const at::TensorOptions options = at::TensorOptions(device).dtype(ComputeType(dtype));
    finite_ = at::ones({}, options.dtype(at::kBool));
    const bool packed = dtype == ModelDtype::kInt8 && IsMatrix(name, shape);
    weight_ = (*out)[name] = memory->Empty(shape, packed ? options.dtype(at::kChar) : options);
    if (!packed) return;
    const std::string prefix = name.substr(0, name.rfind('.'));
    scale_ = (*out)[prefix + kScaleOf] = at::empty({shape[0]}, options);
  }

  void Put(int64_t first, const at::Tensor& rows) {
    const int64_t count = rows.size(0);
    const at::Tensor stored = rows.to(weight_.device());
    if (scale_.defined()) {
      const auto [values, scales] = Quantize(stored);
      weight_.narrow(0, first, count).copy_(values);
      scale_.narrow(0, first, count).copy_(scales);
      finite_.logical_and_(IsFinite(stored));
    } else {
      const at::Tensor kept = weight_.narrow(0, first, count).copy_(stored);
      finite_.logical_and_(IsFinite(kept));
    }
  }

  // Whether all values are so far. Blocks until a GPU is done.
  bool finite() const { return finite_.item<bool>(); }

 private:
  at::Tensor finite_;
  at::Tensor weight_, scale_;  // scale_ undefined but for int8
};

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
  geometry.device = any.device().str();
  geometry.dtype = any.scalar_type() == at::kFloat  ? ModelDtype::kFloat32
                   : any.scalar_type() == at::kHalf ? ModelDtype::kFloat16
                                                    : ModelDtype::kBFloat16;
  for (const auto& [name, weight] : weights) {
    if (weight.scalar_type() == at::kChar) geometry.dtype = ModelDtype::kInt8;
  }
  return geometry;
}

TensorShapes ShapesOf(const StateDict& weights) {
  TensorShapes shapes;
  for (const auto& [name, weight] : weights) {
    if (!name.ends_with(kScaleOf)) shapes[name] = weight.sizes().vec();
  }
  return shapes;
}

absl::StatusOr<WeightsCheck> CheckWeights(const std::string& directory,
                                          const TensorShapes& expected, const IsIgnored& ignored,
                                          const LoadOptions& options) {
  DDPT_ASSIGN_OR_RETURN(const CheckedWeights weights, OpenChecked(directory, expected, ignored));
  return WeightsCheck{StoredBytes(weights), Resolve(options, expected)};
}

absl::StatusOr<std::string> DigestWeights(const std::string& directory,
                                          const TensorShapes& expected, const IsIgnored& ignored,
                                          std::string_view salt) {
  DDPT_ASSIGN_OR_RETURN(const CheckedWeights stored, OpenChecked(directory, expected, ignored));
  Sha256 hash;
  hash.Update(salt);
  for (const auto& [name, source] : stored.tensors) {
    HashHeader(name, *source.view, &hash);
    ForEachPiece(source, [&](int64_t, const TensorView& piece) { hash.Update(piece.bytes); });
  }
  return HexDigest(hash);
}

absl::StatusOr<StoredWeights> ReadWeights(const std::string& directory,
                                          const TensorShapes& expected, const IsIgnored& ignored,
                                          const LoadOptions& options, std::string_view salt) {
  DDPT_ASSIGN_OR_RETURN(const CheckedWeights stored, OpenChecked(directory, expected, ignored));
  const ModelDtype dtype = Resolve(options, expected);
  const uint64_t total = StoredBytes(stored);
  uint64_t done = 0;
  StoredWeights weights;
  WeightMemory memory;
  Sha256 hash;
  hash.Update(salt);
  for (const auto& [name, source] : stored.tensors) {
    HashHeader(name, *source.view, &hash);
    WeightSink sink(name, source.view->shape, dtype, at::Device(options.device), &memory,
                    &weights.tensors);
    ForEachPiece(source, [&](int64_t first, const TensorView& piece) {
      hash.Update(piece.bytes);
      sink.Put(first, Wrap(piece));
    });
    if (!sink.finite()) {
      return absl::InvalidArgumentError(absl::StrCat(directory, ": ", name,
                                                     ": has values that are not finite as ",
                                                     Piece(ModelDtypeName(dtype))));
    }
    done += source.view->bytes.size();
    if (options.on_progress) options.on_progress(done, total);
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
