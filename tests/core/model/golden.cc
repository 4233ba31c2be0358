#include "tests/core/model/golden.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "core/base/safetensors.h"
#include "core/model/decoder_trunk.h"

namespace ddpt {
namespace {

// The matrices here are so small that threads would only wait for each other.
const bool kOneThread = (at::set_num_threads(1), true);

Golden::Rows IdRows(const Tensor& padded) {
  Golden::Rows rows(padded.shape[0]);
  for (int64_t i = 0; i < padded.shape[0] * padded.shape[1]; ++i) {
    if (padded.data[i] >= 0) rows[i / padded.shape[1]].push_back(uint32_t(padded.data[i]));
  }
  return rows;
}

}  // namespace

std::string Golden::Directory(const std::string& name) {
  return std::string(DDPT_TEST_DATA) + "/" + name;
}

Golden Golden::Load(const std::string& name, ModelDtype dtype) {
  const auto file = SafetensorsFile::Open(Directory(name) + "/expected.safetensors").value();
  const auto tensor = [&](const char* key) { return file->tensors().at(key).ToTensor(); };
  const auto torch = [&](const char* key) { return ToTorch(tensor(key), "cpu"); };
  Golden golden{.model = LoadLanguageModel(Directory(name), {.dtype = dtype}).value(),
                .instructions = IdRows(tensor("instructions")),
                .answers = IdRows(tensor("answers")),
                .prefixes = IdRows(tensor("instructions")),
                .prompt = torch("prompt"),
                .prompt_gradient = torch("prompt_gradient"),
                .loss = tensor("loss").data[0],
                .logprobs_plain = torch("logprobs_plain"),
                .logprobs_prompted = torch("logprobs_prompted"),
                .greedy = IdRows(tensor("greedy"))};
  const ModelGeometry& geometry = golden.model->geometry();
  for (auto& prefix : golden.prefixes) {
    if (!geometry.habits.instruction_in_decoder) prefix.clear();
    prefix.insert(prefix.begin(), geometry.start_token);
  }
  return golden;
}

at::Tensor Golden::LogProbs(const EncoderBatch& inputs) const {
  const TargetBatch batch = BuildTargets(prefixes, answers, "cpu");
  const at::Tensor logits = model->Head(model->Trunk(batch.decoder_ids, batch.positions),
                                        model->Encode(inputs.embeddings, inputs.mask), inputs.mask);
  return TargetLogProbs(logits, batch.targets).masked_fill(batch.mask.logical_not(), -1);
}

double Difference(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

}  // namespace ddpt
