#include "tests/core/model/golden.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "absl/strings/str_cat.h"
#include "core/base/safetensors.h"
#include "core/model/decoder_trunk.h"

namespace ddpt {
namespace {

// The matrices here are so small that threads would only wait for each other.
const bool kOneThread = (at::set_num_threads(1), true);

Golden::Rows IdRows(const std::vector<Tensor>& tensors) {
  Golden::Rows rows;
  for (const Tensor& tensor : tensors) rows.emplace_back(tensor.data.begin(), tensor.data.end());
  return rows;
}

at::Tensor PaddedRows(const std::vector<Tensor>& tensors) {
  std::vector<at::Tensor> rows;
  for (const Tensor& tensor : tensors) rows.push_back(ToTorch(tensor, TestDevice()));
  return at::pad_sequence(rows, /*batch_first=*/true, /*padding_value=*/-1);
}

}  // namespace

std::string Golden::Directory(const std::string& name) {
  return std::string(DDPT_TEST_DATA) + "/" + name;
}

Golden Golden::Load(const std::string& name, ModelDtype dtype) {
  const auto file = SafetensorsFile::Open(Directory(name) + "/expected.safetensors").value();
  const auto tensor = [&](const std::string& key) { return file->tensors().at(key).ToTensor(); };
  const auto torch = [&](const char* key) { return ToTorch(tensor(key), TestDevice()); };
  const auto rows = [&](const std::string& key) {
    std::vector<Tensor> tensors;
    const auto next = [&] { return absl::StrCat(key, ".", tensors.size()); };
    while (file->tensors().contains(next())) tensors.push_back(tensor(next()));
    return tensors;
  };
  Golden golden{
      .model = LoadLanguageModel(Directory(name), {.dtype = dtype, .device = TestDevice()}).value(),
      .instructions = IdRows(rows("instruction")),
      .answers = IdRows(rows("answer")),
      .prefixes = IdRows(rows("instruction")),
      .prompt = torch("prompt"),
      .prompt_gradient = torch("prompt_gradient"),
      .loss = tensor("loss").data[0],
      .logprobs_plain = PaddedRows(rows("logprobs_plain")),
      .logprobs_prompted = PaddedRows(rows("logprobs_prompted")),
      .greedy = IdRows(rows("greedy"))};
  const ModelGeometry& geometry = golden.model->geometry();
  for (auto& prefix : golden.prefixes) {
    if (!geometry.habits.instruction_in_decoder) prefix.clear();
    prefix.insert(prefix.begin(), geometry.start_token);
  }
  return golden;
}

at::Tensor Golden::LogProbs(const EncoderBatch& inputs) const {
  const TargetBatch batch = BuildTargets(prefixes, answers, TestDevice());
  const at::Tensor logits = model->Head(model->Trunk(batch.decoder_ids, batch.positions),
                                        model->Encode(inputs.embeddings, inputs.mask), inputs.mask);
  return TargetLogProbs(logits, batch.targets).masked_fill(batch.mask.logical_not(), -1);
}

at::TensorOptions Ids() { return at::TensorOptions(at::kLong).device(TestDevice()); }

double Difference(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

}  // namespace ddpt
