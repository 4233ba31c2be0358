#include "client/bench_generate.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/machine_peak.h"
#include "core/base/memory.h"
#include "core/base/status.h"
#include "core/decoding/request.h"
#include "core/model/batch.h"
#include "core/model/codet5p_config.h"
#include "core/model/codet5p_model.h"
#include "core/model/decoder_trunk.h"
#include "core/model/load.h"
#include "core/model/random_weights.h"

namespace ddpt {
namespace {

struct Subject {
  std::shared_ptr<const LanguageModel> model = nullptr;
  TensorShapes shapes = {};
};

Codet5pConfig EmbeddedGeometry() {
  Codet5pConfig config;
  config.encoder = {.width = 128, .layers = 3, .heads = 4, .rotary_dim = 16, .inner = 512};
  config.decoder = {.width = 192, .layers = 4, .heads = 4, .rotary_dim = 16, .inner = 768};
  config.vocabulary_size = 768;
  config.max_positions = 1024;
  return config;
}

absl::StatusOr<Subject> RandomSubject(const BenchGenerateOptions& options) {
  if (options.device != "cpu") {
    return FieldError("device", absl::StrCat(options.device, " needs a model"));
  }
  const Codet5pConfig config = EmbeddedGeometry();
  StateDict weights = RandomCodet5pWeights(config, /*seed=*/0);
  if (options.dtype == ModelDtype::kBFloat16) {
    for (auto& [name, weight] : weights) weight = weight.to(at::kBFloat16);
  } else if (options.dtype != ModelDtype::kFloat32) {
    return FieldError("dtype",
                      absl::StrCat(Piece(ModelDtypeName(options.dtype)), " needs a model"));
  }
  Subject subject{.shapes = ShapesOf(weights)};
  DDPT_ASSIGN_OR_RETURN(subject.model, CreateCodet5pModel(config, weights));
  return subject;
}

absl::StatusOr<Subject> MakeSubject(const BenchGenerateOptions& options) {
  if (options.model.empty()) return RandomSubject(options);
  const LoadOptions load{.dtype = options.dtype, .device = options.device};
  DDPT_ASSIGN_OR_RETURN(const ModelInspection inspection, InspectModel(options.model, load));
  Subject subject{.shapes = inspection.shapes};
  DDPT_ASSIGN_OR_RETURN(subject.model, LoadLanguageModel(options.model, load));
  return subject;
}

absl::Status Within(const char* name, size_t value, size_t limit) {
  if (value >= 1 && value <= limit) return absl::OkStatus();
  return FieldError(name, absl::StrCat(value, " is outside 1..", limit));
}

// Row b's instruction; any ids do.
PromptedRequest Request(const BenchGenerateOptions& options, const ModelGeometry& geometry,
                        size_t row) {
  PromptedRequest request;
  for (size_t i = 0; i < options.input_tokens; ++i) {
    request.instruction_ids.push_back((row * 31 + i * 7) % geometry.vocabulary_size);
  }
  return request;
}

// All rows from the encoder to the last token; [output_tokens][batch].
std::vector<at::Tensor> Generate(const LanguageModel& model,
                                 const std::vector<PromptedRequest>& requests, size_t tokens) {
  std::vector<std::vector<uint32_t>> inputs, prefixes;
  std::vector<int64_t> lengths;
  for (const PromptedRequest& request : requests) {
    inputs.push_back(EncoderIds(request));
    prefixes.push_back(DecoderIds(request, model.geometry()));
    lengths.push_back(static_cast<int64_t>(prefixes.back().size()));
  }
  const std::string& device = model.geometry().device;
  const EncoderBatch batch = WithoutPrompt(model, PadIds(inputs, device));
  LanguageModel::Prefilled filled =
      model.Prefill(model.Encode(batch.embeddings, batch.mask), batch.mask,
                    PadIds(prefixes, device).ids, lengths);
  std::vector<at::Tensor> chosen = {filled.logits.argmax(1)};
  while (chosen.size() < tokens) {
    chosen.push_back(model.Step(*filled.state, chosen.back()).argmax(1));
  }
  return chosen;
}

double ActivationSize(ModelDtype dtype) { return dtype == ModelDtype::kFloat32 ? 4 : 2; }

// Bytes of a weight in a matrix.
double WeightSize(ModelDtype dtype) {
  return dtype == ModelDtype::kInt8 ? 1 : ActivationSize(dtype);
}

// How many elements of the weights one token passes through, by what it is.
struct Weights {
  double input = 0;      // in the encoder, and on its way to the decoder
  double output = 0;     // in the decoder
  double head = 0;       // logits
  double head_size = 0;  // bytes of an element of the head, which int8 leaves alone if it is tied
};

Weights CountWeights(const TensorShapes& shapes, ModelDtype dtype) {
  Weights weights;
  const bool tied = !shapes.contains("lm_head.weight") && shapes.contains("shared.weight");
  weights.head_size = tied ? ActivationSize(dtype) : WeightSize(dtype);
  for (const auto& [name, shape] : shapes) {
    const bool head = absl::StrContains(name, "lm_head") || (tied && name == "shared.weight");
    if (shape.size() != 2 || (!head && !IsMatrix(name, shape))) continue;
    const bool of_input = absl::StartsWith(name, "enc") ||
                          absl::StrContains(name, "crossattention.qkv_proj") ||
                          absl::StrContains(name, "EncDecAttention.k.") ||
                          absl::StrContains(name, "EncDecAttention.v.");
    (head       ? weights.head
     : of_input ? weights.input
                : weights.output) += static_cast<double>(shape[0]) * static_cast<double>(shape[1]);
  }
  return weights;
}

// Matrices and attention; T5 looks at the encoder in every decoder layer, the parallel-block family
// in one.
void CountWork(const BenchGenerateOptions& options, const ModelGeometry& geometry,
               const Weights& weights, BenchGenerateResult& result) {
  const double rows = options.batch, in = options.input_tokens, out = options.output_tokens;
  const double prefix = result.prefix_tokens, steps = out - 1, decoded = prefix + steps;
  const double encoder = geometry.encoder.width * geometry.encoder.layers;
  const double decoder = geometry.decoder.width * geometry.decoder.layers;
  const double cross = geometry.family == "t5" ? decoder : geometry.decoder.width;
  // A token looks at itself and what stands before it.
  const double looks = prefix * prefix + steps * prefix + steps * (steps + 1) / 2;
  const double attention = encoder * in * in + decoder * looks + cross * decoded * in;
  result.flop = 2 * rows * (in * weights.input + decoded * weights.output + out * weights.head) +
                4 * rows * attention;
  const double caches = 2 * rows * (decoder * (looks - prefix * prefix) + cross * steps * in);
  result.bytes = WeightSize(geometry.dtype) * (weights.input + out * weights.output) +
                 out * weights.head * weights.head_size + ActivationSize(geometry.dtype) * caches;
}

absl::StatusOr<std::vector<PromptedRequest>> Validate(const BenchGenerateOptions& options,
                                                      const ModelGeometry& geometry) {
  const auto positions = static_cast<size_t>(geometry.max_positions);
  DDPT_RETURN_IF_ERROR(Within("input-tokens", options.input_tokens, positions));
  std::vector<PromptedRequest> requests;
  for (size_t row = 0; row < options.batch; ++row) {
    requests.push_back(Request(options, geometry, row));
  }
  const size_t prefix = DecoderIds(requests[0], geometry).size();
  if (prefix >= positions) {
    return FieldError("input-tokens", absl::StrCat(options.input_tokens, " fill the decoder's ",
                                                   positions, " positions"));
  }
  DDPT_RETURN_IF_ERROR(Within("output-tokens", options.output_tokens, positions - prefix));
  return requests;
}

}  // namespace

absl::StatusOr<BenchGenerateResult> BenchGenerate(const BenchGenerateOptions& options,
                                                  const std::function<void(size_t)>& on_run) {
  DDPT_RETURN_IF_ERROR(Within("batch", options.batch, 256));
  DDPT_RETURN_IF_ERROR(Within("threads", options.threads, 256));
  DDPT_RETURN_IF_ERROR(Within("runs", options.runs, 1'000'000));
  at::set_num_threads(static_cast<int>(options.threads));
  const auto start = std::chrono::steady_clock::now();
  DDPT_ASSIGN_OR_RETURN(const Subject subject, MakeSubject(options));
  const std::chrono::duration<double> loading = std::chrono::steady_clock::now() - start;
  const ModelGeometry& geometry = subject.model->geometry();
  DDPT_ASSIGN_OR_RETURN(const auto requests, Validate(options, geometry));

  BenchGenerateResult result;
  result.parameters = geometry.parameters;
  result.dtype = geometry.dtype;
  result.load_seconds = loading.count();
  result.kept_bytes = KeptBytes(subject.shapes, geometry.dtype);
  result.peak_bytes = PeakMemory();
  result.prefix_tokens = DecoderIds(requests[0], geometry).size();
  const c10::NoGradGuard no_grad;
  at::Tensor rows;
  const auto run = [&] {
    const auto chosen = Generate(*subject.model, requests, options.output_tokens);
    rows = at::stack(chosen, 1).to(at::kCPU).contiguous();
    return absl::OkStatus();
  };
  DDPT_RETURN_IF_ERROR(TimeRuns(options.runs, run, on_run, result));
  for (size_t row = 0; row < options.batch; ++row) {
    const int64_t* ids = rows.const_data_ptr<int64_t>() + row * options.output_tokens;
    result.tokens.emplace_back(ids, ids + options.output_tokens);
  }
  const Weights weights = CountWeights(subject.shapes, geometry.dtype);
  CountWork(options, geometry, weights, result);
  if (options.device != "cpu") return result;
  result.peak_flops = MeasureFlops(options.threads);
  // As many bytes as a token reads, or so many that no cache holds them.
  constexpr double kBeyondCaches = 1e9;
  const double read =
      WeightSize(geometry.dtype) * weights.output + weights.head_size * weights.head;
  result.peak_bandwidth = MeasureReadBandwidth(
      options.threads, static_cast<size_t>(std::min(read, kBeyondCaches) / options.threads));
  return result;
}

}  // namespace ddpt
