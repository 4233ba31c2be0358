#include "client/bench_generate.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "absl/strings/str_cat.h"
#include "client/gpu_peak.h"
#include "client/machine_peak.h"
#include "core/base/memory.h"
#include "core/base/status.h"
#include "core/base/team.h"
#include "core/decoding/request.h"
#include "core/model/batch.h"
#include "core/model/decoder_trunk.h"

namespace ddpt {
namespace {

PromptedRequest Request(const BenchGenerateOptions& options, const ModelGeometry& geometry,
                        size_t row) {
  PromptedRequest request;
  request.instruction_ids = BenchIds(geometry, row, options.input_tokens);
  return request;
}

LanguageModel::Prefilled Prefill(const LanguageModel& model,
                                 const std::vector<PromptedRequest>& requests) {
  std::vector<std::vector<uint32_t>> inputs, prefixes;
  std::vector<int64_t> lengths;
  for (const PromptedRequest& request : requests) {
    inputs.push_back(EncoderIds(request));
    prefixes.push_back(DecoderIds(request, model.geometry()));
    lengths.push_back(static_cast<int64_t>(prefixes.back().size()));
  }
  const std::string& device = model.geometry().device;
  const EncoderBatch batch = WithoutPrompt(model, PadIds(inputs, device));
  return model.Prefill(model.Encode(batch.embeddings, batch.mask), batch.mask,
                       PadIds(prefixes, device).ids, lengths);
}

// How many threads LibTorch uses, until the end of this object.
class LibTorchThreads {
 public:
  explicit LibTorchThreads(int threads) { at::set_num_threads(threads); }
  ~LibTorchThreads() { at::set_num_threads(before_); }
  LibTorchThreads(const LibTorchThreads&) = delete;
  LibTorchThreads& operator=(const LibTorchThreads&) = delete;

 private:
  const int before_ = at::get_num_threads();
};

struct Generated {
  at::Tensor tokens;  // [batch, output_tokens], on the processor
  double token_seconds;
};

// All rows from the encoder to the last token, with threads as the server has them: LibTorch one,
// the rest helpers.
Generated Generate(const LanguageModel& model, const std::vector<PromptedRequest>& requests,
                   size_t tokens, size_t threads) {
  const LibTorchThreads one_thread(1);
  Team team;
  const HelperThreads helpers(std::min(threads - 1, Team::kMaxHelpers),
                              [&](HelperThreads::Leave leave) { team.Help(leave); });
  const LanguageModel::Prefilled filled = [&] {
    const TeamScope shared(team);
    return Prefill(model, requests);
  }();
  std::vector<at::Tensor> chosen = {filled.logits.argmax(1)};
  chosen[0].sum().item();  // waits for a GPU
  const auto first = std::chrono::steady_clock::now();
  while (chosen.size() < tokens) {
    chosen.push_back(model.Step(*filled.state, chosen.back(), team).argmax(1));
  }
  at::Tensor rows = at::stack(chosen, 1).to(at::kCPU).contiguous();
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - first;
  return {std::move(rows), time.count() / static_cast<double>(std::max<size_t>(1, tokens - 1))};
}

void ScoreTargets(const LanguageModel& model, const std::vector<PromptedRequest>& requests,
                  size_t tokens, BenchGenerateResult& result) {
  for (size_t row = 0; row < requests.size(); ++row) {
    result.instructions.push_back(requests[row].instruction_ids);
    std::vector<uint32_t>& target = result.targets.emplace_back();
    for (size_t i = 0; i < tokens; ++i) {
      target.push_back((row * 131 + i * 977) % model.geometry().vocabulary_size);
    }
  }
  result.log_probabilities.resize(requests.size());
  const at::Tensor targets = PadIds(result.targets, model.geometry().device).ids;
  const LanguageModel::Prefilled filled = Prefill(model, requests);
  at::Tensor logits = filled.logits;
  for (size_t i = 0; i < tokens; ++i) {
    const at::Tensor ids = targets.select(1, static_cast<int64_t>(i));
    const at::Tensor found =
        TargetLogProbs(logits.unsqueeze(1), ids.unsqueeze(1)).to(at::kCPU).contiguous();
    for (size_t row = 0; row < requests.size(); ++row) {
      result.log_probabilities[row].push_back(found.const_data_ptr<float>()[row]);
    }
    if (i + 1 < tokens) logits = model.Step(*filled.state, ids);
  }
}

double ActivationSize(ModelDtype dtype) { return dtype == ModelDtype::kFloat32 ? 4 : 2; }

// Bytes of a weight in a matrix.
double WeightSize(ModelDtype dtype) {
  return dtype == ModelDtype::kInt8 ? 1 : ActivationSize(dtype);
}

void CountWork(const BenchGenerateOptions& options, const BenchModel& subject,
               BenchGenerateResult& result) {
  const ModelGeometry& geometry = subject.model->geometry();
  const TokenWeights weights = CountTokenWeights(subject.shapes, geometry);
  const AttentionWork attention = CountAttention(geometry);
  const double rows = options.batch, in = options.input_tokens, out = options.output_tokens;
  const double prefix = result.prefix_tokens, steps = out - 1, decoded = prefix + steps;
  // A token looks at itself and what stands before it.
  const double looks = prefix * prefix + steps * prefix + steps * (steps + 1) / 2;
  result.flop =
      2 * rows *
      (in * weights.input + decoded * weights.output + out * weights.head +
       attention.encoder * in * in + attention.decoder * looks + attention.cross * decoded * in);
  const double caches =
      rows * (attention.decoder * (looks - prefix * prefix) + attention.cross * steps * in);
  const double size = WeightSize(geometry.dtype), activation = ActivationSize(geometry.dtype);
  const double head = weights.head * (weights.tied ? activation : size);
  result.bytes = size * (weights.input + out * weights.output) + out * head + activation * caches;
  result.token_bytes = size * weights.output + head;
}

absl::StatusOr<std::vector<PromptedRequest>> Validate(const BenchGenerateOptions& options,
                                                      const ModelGeometry& geometry) {
  const auto positions = static_cast<size_t>(geometry.max_positions);
  DDPT_RETURN_IF_ERROR(CheckWithin("input-tokens", options.input_tokens, positions));
  std::vector<PromptedRequest> requests;
  for (size_t row = 0; row < options.batch; ++row) {
    requests.push_back(Request(options, geometry, row));
  }
  const size_t prefix = DecoderIds(requests[0], geometry).size();
  if (prefix >= positions) {
    return FieldError("input-tokens", absl::StrCat(options.input_tokens, " fill the decoder's ",
                                                   positions, " positions"));
  }
  DDPT_RETURN_IF_ERROR(CheckWithin("output-tokens", options.output_tokens, positions - prefix));
  return requests;
}

}  // namespace

absl::StatusOr<BenchGenerateResult> BenchGenerate(const BenchGenerateOptions& options,
                                                  const std::function<void(size_t)>& on_run) {
  DDPT_RETURN_IF_ERROR(CheckWithin("batch", options.batch, 256));
  DDPT_RETURN_IF_ERROR(CheckWithin("runs", options.runs, 1'000'000));
  DDPT_ASSIGN_OR_RETURN(const BenchModel subject, OpenBenchModel(options));
  const ModelGeometry& geometry = subject.model->geometry();
  DDPT_ASSIGN_OR_RETURN(const auto requests, Validate(options, geometry));

  BenchGenerateResult result;
  result.parameters = geometry.parameters;
  result.dtype = geometry.dtype;
  result.load_seconds = subject.load_seconds;
  result.kept_bytes = KeptBytes(subject.shapes, geometry.dtype);
  result.peak_bytes = PeakMemory();
  result.prefix_tokens = DecoderIds(requests[0], geometry).size();
  const c10::NoGradGuard no_grad;
  at::Tensor rows;
  std::vector<double> token_seconds;
  const auto run = [&] {
    Generated generated =
        Generate(*subject.model, requests, options.output_tokens, options.threads);
    rows = std::move(generated.tokens);
    token_seconds.push_back(generated.token_seconds);
    return absl::OkStatus();
  };
  DDPT_RETURN_IF_ERROR(TimeRuns(options.runs, run, on_run, result));
  token_seconds.erase(token_seconds.begin());  // of the run that is not timed
  std::ranges::nth_element(token_seconds, token_seconds.begin() + token_seconds.size() / 2);
  result.token_seconds = token_seconds[token_seconds.size() / 2];
  for (size_t row = 0; row < options.batch; ++row) {
    const int64_t* ids = rows.const_data_ptr<int64_t>() + row * options.output_tokens;
    result.tokens.emplace_back(ids, ids + options.output_tokens);
  }
  if (options.log_probabilities) {
    ScoreTargets(*subject.model, requests, options.output_tokens, result);
  }
  CountWork(options, subject, result);
  if (options.device != "cpu") {
    result.peak_flops = MeasureGpuFlops(options.device, geometry.dtype);
    result.peak_bandwidth = MeasureGpuBandwidth(options.device);
    return result;
  }
  result.peak_flops = MeasureFlops(options.threads);
  // As many bytes as a token reads, or so many that no cache holds them.
  constexpr double kBeyondCaches = 1e9;
  result.peak_bandwidth = MeasureReadBandwidth(
      options.threads,
      static_cast<size_t>(std::min(result.token_bytes, kBeyondCaches) / options.threads));
  return result;
}

}  // namespace ddpt
