#include "client/bench_train.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/machine_peak.h"
#include "core/base/device.h"
#include "core/base/file.h"
#include "core/base/memory.h"
#include "core/base/philox.h"
#include "core/base/safetensors.h"
#include "core/base/status.h"
#include "core/decoding/request.h"
#include "core/model/batch.h"
#include "core/model/decoder_trunk.h"
#include "core/model/device_memory.h"
#include "core/tuning/prepared_examples.h"

namespace ddpt {
namespace {

constexpr float kPromptScale = 0.05f;  // of the order of embeddings
constexpr uint32_t kPromptStage = 0x1u << 28;

using Rows = std::vector<std::vector<uint32_t>>;

struct Batch {
  Rows instructions, prefixes, answers;
};

Batch MakeBatch(const BenchTrainOptions& options, const ModelGeometry& geometry) {
  Batch batch;
  for (size_t row = 0; row < options.batch; ++row) {
    PromptedRequest request;
    request.instruction_ids = BenchIds(geometry, row, options.input_tokens);
    batch.instructions.push_back(EncoderIds(request));
    batch.prefixes.push_back(DecoderIds(request, geometry));
    batch.answers.push_back(BenchIds(geometry, row + options.batch, options.output_tokens));
  }
  return batch;
}

absl::Status Validate(const BenchTrainOptions& options, const ModelGeometry& geometry) {
  const auto positions = static_cast<size_t>(geometry.max_positions);
  DDPT_RETURN_IF_ERROR(CheckWithin("batch", options.batch, 256));
  DDPT_RETURN_IF_ERROR(CheckWithin("context", options.context_length, 64));
  DDPT_RETURN_IF_ERROR(CheckWithin("runs", options.runs, 1'000'000));
  DDPT_RETURN_IF_ERROR(
      CheckWithin("input-tokens", options.input_tokens, positions - options.context_length));
  const size_t prefix = MakeBatch(options, geometry).prefixes[0].size();
  if (prefix > positions) {
    return FieldError("input-tokens", absl::StrCat(options.input_tokens, " fill the decoder's ",
                                                   positions, " positions"));
  }
  return CheckWithin("output-tokens", options.output_tokens, positions - prefix + 1);
}

Tensor MakePrompts(const BenchTrainOptions& options, const ModelGeometry& geometry) {
  Tensor prompts{{int64_t(options.batch), int64_t(options.context_length), geometry.encoder.width},
                 {}};
  prompts.data.resize(options.batch * options.context_length * geometry.encoder.width);
  FillNormal({.seed = 0, .sample = 0, .stage = kPromptStage}, prompts.data);
  for (float& value : prompts.data) value *= kPromptScale;
  return prompts;
}

// Loss and gradient of `prompts` by logits of the batch.
at::Tensor Gradient(const at::Tensor& log_probs, const at::Tensor& mask, at::Tensor& prompts,
                    double* loss) {
  const at::Tensor mean = MeanNll(log_probs, mask);
  mean.backward();
  *loss = mean.item<double>();
  at::Tensor gradient = prompts.grad().to(at::kCPU, at::kFloat);
  prompts.mutable_grad().reset();
  return gradient;
}

at::Tensor FullGradient(const LanguageModel& model, const Batch& batch, at::Tensor& prompts) {
  const std::string& device = model.geometry().device;
  const TargetBatch targets = BuildTargets(batch.prefixes, batch.answers, device);
  const EncoderBatch input = WithPrompt(model, prompts, PadIds(batch.instructions, device));
  const at::Tensor logits = model.Head(model.Trunk(targets.decoder_ids, targets.positions),
                                       model.Encode(input.embeddings, input.mask), input.mask);
  double loss = 0;
  return Gradient(TargetLogProbs(logits, targets.targets), targets.mask, prompts, &loss);
}

void CountWork(const BenchTrainOptions& options, const BenchModel& subject, size_t prefix,
               BenchTrainResult& result) {
  const ModelGeometry& geometry = subject.model->geometry();
  const TokenWeights weights = CountTokenWeights(subject.shapes, geometry);
  const AttentionWork attention = CountAttention(geometry);
  const double rows = options.batch, in = options.context_length + options.input_tokens,
               out = options.output_tokens, decoded = prefix + out - 1;
  // Backward takes a product for each with a frozen matrix, and two for each inside attention.
  const double both = 2 * (in * weights.input + out * (weights.after_prompt + weights.head)) +
                      3 * (attention.encoder * in * in + attention.cross * out * in);
  const double trunk =
      decoded * (weights.output - weights.after_prompt) + attention.decoder * decoded * decoded;
  const bool cached = geometry.family != "t5";
  result.flop = 2 * rows * (both + (cached ? 0 : trunk));
  result.full_flop = 2 * rows * (both + trunk);
  result.bytes = 2 * (geometry.dtype == ModelDtype::kFloat32 ? 4 : 2) *
                 (weights.input + weights.after_prompt + weights.head);
}

// Rows of one length.
Tensor IdTensor(const Rows& rows) {
  Tensor ids{{int64_t(rows.size()), int64_t(rows[0].size())}, {}};
  for (const auto& row : rows) ids.data.insert(ids.data.end(), row.begin(), row.end());
  return ids;
}

}  // namespace

absl::StatusOr<BenchTrainResult> BenchTrain(const BenchTrainOptions& options,
                                            const std::function<void(size_t)>& on_run) {
  DDPT_ASSIGN_OR_RETURN(const BenchModel subject, OpenBenchModel(options));
  const LanguageModel& model = *subject.model;
  const ModelGeometry& geometry = model.geometry();
  DDPT_RETURN_IF_ERROR(Validate(options, geometry));
  const Batch batch = MakeBatch(options, geometry);
  std::vector<EncodedExample> examples;
  std::vector<uint64_t> indices;
  for (size_t row = 0; row < options.batch; ++row) {
    examples.push_back({batch.instructions[row], batch.answers[row]});
    indices.push_back(row);
  }
  PreparedExamples prepared(subject.model, examples, /*conditional=*/false,
                            {.memory_bytes = UINT64_MAX});
  BenchTrainResult result;
  result.instructions = batch.instructions;
  result.answers = batch.answers;
  result.start_token = geometry.start_token;
  result.parameters = geometry.parameters;
  result.dtype = geometry.dtype;
  result.prompts = MakePrompts(options, geometry);
  at::Tensor prompts = ToTorch(result.prompts, geometry.device).set_requires_grad(true);
  at::Tensor gradient;
  const auto run = [&] {
    const auto losses = prepared.Score(indices, prompts);
    gradient = Gradient(losses.log_probs, losses.mask, prompts, &result.loss);
    return absl::OkStatus();
  };
  DDPT_ASSIGN_OR_RETURN(const int device, ParseDevice(options.device));
  DDPT_RETURN_IF_ERROR(run());  // computes the trunks
  ForgetPeakDeviceMemory(device);
  DDPT_RETURN_IF_ERROR(TimeRuns(options.runs, run, on_run, result));
  result.gpu_peak_bytes = PeakDeviceMemory(device);
  result.trunk_bytes = prepared.kept_bytes();
  result.peak_bytes = PeakMemory();
  result.gradient = FromTorch(gradient);
  const at::Tensor full = FullGradient(model, batch, prompts);
  result.grad_rel_diff =
      (gradient - full).abs().max().item<double>() / full.abs().max().item<double>();
  CountWork(options, subject, batch.prefixes[0].size(), result);
  if (options.device != "cpu") return result;
  result.peak_flops = MeasureFlops(options.threads);
  constexpr double kBeyondCaches = 1e9;
  result.peak_bandwidth = MeasureReadBandwidth(
      options.threads,
      static_cast<size_t>(std::min(result.bytes, kBeyondCaches)) / options.threads);
  return result;
}

absl::Status WriteTrainBenchmark(const std::string& path, const BenchTrainResult& result) {
  const Tensor instructions = IdTensor(result.instructions), answers = IdTensor(result.answers);
  return WriteFileAtomic(
      path, SerializeSafetensors(
                {{"instructions", {.shape = instructions.shape, .data = instructions.data}},
                 {"answers", {.shape = answers.shape, .data = answers.data}},
                 {"prompts", {.shape = result.prompts.shape, .data = result.prompts.data}},
                 {"gradient", {.shape = result.gradient.shape, .data = result.gradient.data}}},
                {{"loss", absl::StrCat(result.loss)},
                 {"start_token", absl::StrCat(result.start_token)}}));
}

}  // namespace ddpt
