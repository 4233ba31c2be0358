#include "client/prompt_file.h"

#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/output.h"
#include "core/base/file.h"
#include "core/base/safetensors.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

constexpr char kTensorName[] = "prompts";

DataType CoreType(v1::DataType dtype) {
  if (dtype == v1::DATA_TYPE_FLOAT16) return DataType::kFloat16;
  if (dtype == v1::DATA_TYPE_BFLOAT16) return DataType::kBFloat16;
  return DataType::kFloat32;
}

}  // namespace

absl::StatusOr<Tensor> DecodePrompt(const v1::Tensor& tensor) {
  if (tensor.shape_size() != 2) {
    return absl::InternalError(absl::StrCat("the server sent a prompt of rank ",
                                            tensor.shape_size(), " instead of [n, w]"));
  }
  const std::vector<int64_t> expected(tensor.shape().begin(), tensor.shape().end());
  return DecodeTensor("prompts.embedding", {tensor.shape().data(), 2}, CoreType(tensor.dtype()),
                      tensor.data(), expected);
}

absl::Status WritePrompts(const std::string& path, const v1::SampleResponse& response) {
  std::vector<int64_t> shape;
  std::vector<float> values;
  nlohmann::ordered_json ids = nlohmann::ordered_json::array();
  for (const v1::Prompt& prompt : response.prompts()) {
    DDPT_ASSIGN_OR_RETURN(const Tensor tensor, DecodePrompt(prompt.embedding()));
    if (shape.empty()) shape = tensor.shape;
    if (shape != tensor.shape) return absl::InternalError("the server sent prompts of two shapes");
    values.insert(values.end(), tensor.data.begin(), tensor.data.end());
    ids.push_back(prompt.prompt_id());
  }
  shape.insert(shape.begin(), response.prompts_size());
  return WriteFileAtomic(
      path, SerializeSafetensors(
                {{kTensorName, {.dtype = DataType::kFloat32, .shape = shape, .data = values}}},
                {{"prompt_ids", ids.dump()}, {"receipt", ToJson(response.receipt()).dump()}}));
}

absl::StatusOr<v1::Tensor> ReadPrompt(const std::string& path, uint64_t index) {
  DDPT_ASSIGN_OR_RETURN(auto file, SafetensorsFile::Open(path));
  const auto found = file->tensors().find(kTensorName);
  if (found == file->tensors().end() || found->second.shape.size() != 3) {
    return FieldError("prompt-file", absl::StrCat(path, " has no tensor \"", kTensorName,
                                                  "\" of shape [count, n, w]"));
  }
  const TensorView& view = found->second;
  if (index >= static_cast<uint64_t>(view.shape[0])) {
    return FieldError("prompt-index", absl::StrCat(index, " is not below ", view.shape[0],
                                                   ", the prompts of ", path));
  }
  const Tensor all = view.ToTensor();
  const size_t size = all.data.size() / view.shape[0];
  v1::Tensor tensor;
  tensor.add_shape(view.shape[1]);
  tensor.add_shape(view.shape[2]);
  tensor.set_dtype(v1::DATA_TYPE_FLOAT32);
  tensor.set_data(EncodeElements({all.data.data() + index * size, size}, DataType::kFloat32));
  return tensor;
}

}  // namespace ddpt
