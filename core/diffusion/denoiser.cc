#include "core/diffusion/denoiser.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

// Calls visit(name, shape, vector, required) for every tensor that `spec` implies.
template <typename Weights, typename Visitor>
void VisitTensors(const DenoiserSpec& spec, Weights& weights, Visitor visit) {
  using Shape = std::vector<int64_t>;
  const int64_t h = spec.latent, size = spec.size();
  visit("down.weight", Shape{h, size}, weights.down_weight, true);
  visit("down.bias", Shape{h}, weights.down_bias, true);
  visit("time.1.weight", Shape{h, spec.time_features}, weights.time_in_weight, true);
  visit("time.1.bias", Shape{h}, weights.time_in_bias, true);
  visit("time.2.weight", Shape{h, h}, weights.time_out_weight, true);
  visit("time.2.bias", Shape{h}, weights.time_out_bias, true);
  for (size_t i = 0; i < weights.hidden.size(); ++i) {
    visit(absl::StrCat("hidden.", i + 1, ".weight"), Shape{h, h}, weights.hidden[i].weight, true);
    visit(absl::StrCat("hidden.", i + 1, ".bias"), Shape{h}, weights.hidden[i].bias, true);
  }
  visit("up.weight", Shape{size, h}, weights.up_weight, true);
  visit("up.bias", Shape{size}, weights.up_bias, true);
  if (spec.condition_width > 0) {
    visit("condition.weight", Shape{h, spec.condition_width}, weights.condition_weight, true);
    visit("condition.null", Shape{h}, weights.condition_null, true);
  }
  visit("context", Shape{spec.context_length, spec.width}, weights.context, true);
  visit("reference", Shape{spec.context_length, spec.width}, weights.reference, false);
}

absl::Status CheckFinite(std::string_view name, std::span<const float> values) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i])) continue;
    return FieldError(name, absl::StrCat("element ", i, " is ", values[i], ", not finite"));
  }
  return absl::OkStatus();
}

absl::Status CheckZero(Method method, std::string_view name, std::span<const float> values) {
  if (std::ranges::all_of(values, [](float value) { return value == 0.0f; })) {
    return absl::OkStatus();
  }
  return FieldError(name, absl::StrCat("is not zero, as method ", Piece(Name(method)), " says"));
}

absl::Status CheckMethod(const DenoiserSpec& spec, const DenoiserWeights& weights) {
  const bool tuned = HasOnePrompt(spec.method);
  if (tuned || spec.method == Method::kGenerator) {
    DDPT_RETURN_IF_ERROR(CheckZero(spec.method, "down.weight", weights.down_weight));
  }
  return tuned ? CheckZero(spec.method, "up.weight", weights.up_weight) : absl::OkStatus();
}

absl::StatusOr<std::vector<float>> ReadTensor(const TensorView& view, std::string_view name,
                                              const std::vector<int64_t>& shape) {
  if (view.dtype != DataType::kFloat32) {
    return FieldError(name, absl::StrCat("is ", Piece(DataTypeName(view.dtype)), ", not float32"));
  }
  if (view.shape != shape) {
    return FieldError(name, absl::StrCat("has shape ", ShapeString(view.shape),
                                         ", the metadata imply ", ShapeString(shape)));
  }
  std::vector<float> values = DecodeElements(view.bytes, view.dtype);
  DDPT_RETURN_IF_ERROR(CheckFinite(name, values));
  return values;
}

absl::StatusOr<DenoiserWeights> ReadWeights(const SafetensorsFile& file, const DenoiserSpec& spec) {
  DenoiserWeights weights;
  weights.hidden.resize(spec.layers);
  absl::Status status;
  std::set<std::string> known;
  VisitTensors(spec, weights,
               [&](const std::string& name, const auto& shape, auto& values, bool required) {
                 known.insert(name);
                 const auto found = file.tensors().find(name);
                 if (!status.ok() || (found == file.tensors().end() && !required)) return;
                 if (found == file.tensors().end()) {
                   status = FieldError(name, "the tensor is missing");
                   return;
                 }
                 auto read = ReadTensor(found->second, name, shape);
                 status = read.status();
                 if (read.ok()) values = *std::move(read);
               });
  DDPT_RETURN_IF_ERROR(status);
  for (const auto& [name, view] : file.tensors()) {
    if (!known.contains(name)) return FieldError(name, "the format has no such tensor");
  }
  if (!file.skipped().empty()) return FieldError(file.skipped()[0], "is not a float32 tensor");
  DDPT_RETURN_IF_ERROR(CheckMethod(spec, weights));
  return weights;
}

}  // namespace

DenoiserWeights ZeroWeights(const DenoiserSpec& spec) {
  DenoiserWeights weights;
  weights.hidden.resize(spec.layers);
  VisitTensors(spec, weights, [](const auto&, const auto& shape, auto& values, bool required) {
    size_t count = required ? 1 : 0;
    for (const int64_t dimension : shape) count *= dimension;
    values.assign(count, 0.0f);
  });
  return weights;
}

absl::StatusOr<std::shared_ptr<const Denoiser>> Denoiser::FromFile(const SafetensorsFile& file,
                                                                   std::string_view bytes) {
  DDPT_ASSIGN_OR_RETURN(DenoiserSpec spec, SpecFromMetadata(file.metadata()));
  DDPT_ASSIGN_OR_RETURN(DenoiserWeights weights, ReadWeights(file, spec));
  return std::shared_ptr<const Denoiser>(
      new Denoiser(std::move(spec), std::move(weights), Sha256Hex(bytes)));
}

absl::StatusOr<std::shared_ptr<const Denoiser>> Denoiser::Load(const std::string& path) {
  DDPT_ASSIGN_OR_RETURN(const auto mapped, MappedFile::Open(path));
  return Parse(mapped->bytes(), path);
}

absl::StatusOr<std::shared_ptr<const Denoiser>> Denoiser::Parse(std::string_view bytes,
                                                                std::string_view name) {
  DDPT_ASSIGN_OR_RETURN(const auto file, SafetensorsFile::Parse(bytes, name));
  auto denoiser = FromFile(*file, bytes);
  if (!denoiser.ok()) return Annotate(denoiser.status(), name);
  return denoiser;
}

absl::StatusOr<std::string> Denoiser::Serialize(const DenoiserSpec& spec,
                                                const DenoiserWeights& weights) {
  DDPT_RETURN_IF_ERROR(ValidateSpec(spec));
  if (weights.hidden.size() != static_cast<size_t>(spec.layers)) {
    return FieldError("layers", absl::StrCat(spec.layers, " in the specification, ",
                                             weights.hidden.size(), " in the weights"));
  }
  absl::Status status = CheckMethod(spec, weights);
  std::map<std::string, TensorToWrite> tensors;
  VisitTensors(spec, weights,
               [&](const std::string& name, const auto& shape, const auto& values, bool required) {
                 if (!status.ok() || (values.empty() && !required)) return;
                 size_t count = 1;
                 for (const int64_t dimension : shape) count *= dimension;
                 status = count == values.size()
                              ? CheckFinite(name, values)
                              : FieldError(name, absl::StrCat(values.size(), " elements for shape ",
                                                              ShapeString(shape)));
                 tensors[name] = {.shape = shape, .data = values};
               });
  DDPT_RETURN_IF_ERROR(status);
  return SerializeSafetensors(tensors, ToMetadata(spec));
}

}  // namespace ddpt
