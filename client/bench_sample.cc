#include "client/bench_sample.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/machine_peak.h"
#include "core/base/file.h"
#include "core/base/philox.h"
#include "core/base/safetensors.h"
#include "core/base/status.h"
#include "core/diffusion/draw_batch.h"
#include "core/diffusion/latent_engine.h"
#include "core/diffusion/sample_row.h"

namespace ddpt {
namespace {

constexpr size_t kMaxThreads = 256;
// Rows for each thread from which on each steps a batch of its own.
constexpr size_t kWideBatch = 32;

// Draws first..first+count-1 by one batch; results go to `prompts` at their draws.
absl::Status RunPart(const BenchSampleOptions& options, DrawBatch& batch, size_t first,
                     size_t count, std::vector<Tensor>& prompts) {
  std::map<uint64_t, size_t> draws;  // by the id of their row
  for (size_t i = first; i < first + count; ++i) {
    SampleRow row;
    row.seed = options.seed;
    row.draw = i;
    row.options = options.sampling;
    DDPT_ASSIGN_OR_RETURN(const uint64_t id, batch.Join(row));
    draws[id] = i;
  }
  while (batch.width() > 0) {
    for (DrawBatch::Finished& finished : batch.Step()) {
      if (!finished.result.ok()) return finished.result.status();
      prompts[draws.at(finished.id)] = *std::move(finished.result);
    }
  }
  return absl::OkStatus();
}

// Some batches, each with a thread that steps and others that help it.
class Runner {
 public:
  static absl::StatusOr<Runner> Create(const BenchSampleOptions& options,
                                       const std::shared_ptr<const LatentEngine>& engine) {
    Runner runner(options);
    DDPT_ASSIGN_OR_RETURN(auto batch, DrawBatch::Create(engine, options.batch));
    const size_t members = 1 + batch->useful_helpers();
    const bool wide = options.batch >= options.threads * kWideBatch;
    const size_t count = wide ? options.threads : (options.threads + members - 1) / members;
    if (count == 1) {
      runner.batches_.push_back(std::move(batch));
      return runner;
    }
    for (size_t i = 0; i < std::min(count, options.batch); ++i) {
      DDPT_ASSIGN_OR_RETURN(batch, DrawBatch::Create(engine, options.batch / count + 1));
      runner.batches_.push_back(std::move(batch));
    }
    return runner;
  }

  absl::Status Run() {
    std::vector<absl::Status> statuses(batches_.size());
    std::atomic<size_t> running = batches_.size();
    const auto step = [&](size_t i) {
      statuses[i] = RunPart(options_, *batches_[i], Begin(i), Begin(i + 1) - Begin(i), prompts_);
      --running;
    };
    const auto help = [&](size_t i) {
      while (running > 0) batches_[i]->Help([&] { return running == 0; });
    };
    std::vector<std::thread> threads;
    for (size_t t = 1; t < options_.threads; ++t) {
      if (t < batches_.size()) {
        threads.emplace_back(step, t);
      } else {
        threads.emplace_back(help, t % batches_.size());
      }
    }
    step(0);
    for (std::thread& thread : threads) thread.join();
    for (const absl::Status& status : statuses) DDPT_RETURN_IF_ERROR(status);
    return absl::OkStatus();
  }

  // Threads that share one pass over the weights.
  double sharing() const { return static_cast<double>(options_.threads) / batches_.size(); }
  std::vector<Tensor> TakePrompts() { return std::move(prompts_); }

 private:
  explicit Runner(const BenchSampleOptions& options) : options_(options), prompts_(options.batch) {}
  size_t Begin(size_t i) const { return options_.batch * i / batches_.size(); }

  BenchSampleOptions options_;
  std::vector<std::unique_ptr<DrawBatch>> batches_;
  std::vector<Tensor> prompts_;
};

absl::Status Validate(const BenchSampleOptions& options) {
  DDPT_RETURN_IF_ERROR(ValidateSampling(options.sampling, options.denoiser->spec()));
  if (options.batch < 1 || options.batch > 4096) {
    return FieldError("batch", absl::StrCat(options.batch, " is outside 1..4096"));
  }
  if (options.threads < 1 || options.threads > kMaxThreads) {
    return FieldError("threads", absl::StrCat(options.threads, " is outside 1..", kMaxThreads));
  }
  if (options.device != kCpu) {
    if (!CudaEngine::Supports(options.denoiser->spec())) {
      return FieldError("device", "GPUs do not draw from such a denoiser");
    }
    if (options.threads != 1) {
      return FieldError("threads", absl::StrCat(options.threads, " is not 1, but a GPU draws"));
    }
  }
  if (options.runs < 1) return FieldError("runs", "0 is below 1");
  return absl::OkStatus();
}

// What a step multiplies by: V_1..V_layers and M.
double StepWeights(const DenoiserSpec& spec) {
  return static_cast<double>(spec.layers + 1) * spec.latent * spec.latent;
}

double WeightBytes(WeightType type) {
  return type == WeightType::kBfloat16 ? sizeof(uint16_t) : sizeof(float);
}

void CountWork(const BenchSampleOptions& options, double sharing, BenchSampleResult& result) {
  const DenoiserSpec& spec = options.denoiser->spec();
  const auto steps = static_cast<double>(options.sampling.steps);
  const double end = static_cast<double>(spec.size()) * spec.latent;  // W x_T, and U phi
  const double weight = WeightBytes(options.weight_type);
  result.flop = 2.0 * options.batch * (steps * StepWeights(spec) + 2 * end);
  result.bytes = options.threads / sharing *
                 (steps * (weight * StepWeights(spec) + sizeof(float) * spec.latent) +
                  (weight + sizeof(float)) * end);
}

}  // namespace

absl::StatusOr<BenchSampleResult> BenchSample(const BenchSampleOptions& options,
                                              const std::function<void(size_t)>& on_run) {
  DDPT_RETURN_IF_ERROR(Validate(options));
  DDPT_ASSIGN_OR_RETURN(auto engine, LatentEngine::Create(options.denoiser, options.weight_type,
                                                          BestKernels(), options.device));
  DDPT_ASSIGN_OR_RETURN(Runner runner, Runner::Create(options, engine));
  BenchSampleResult result;
  result.kernels = engine->cuda() != nullptr ? "cuda" : engine->kernels().name;
  DDPT_RETURN_IF_ERROR(TimeRuns(
      options.runs, [&runner] { return runner.Run(); }, on_run, result));
  result.prompts = runner.TakePrompts();
  CountWork(options, runner.sharing(), result);
  if (engine->cuda() != nullptr) return result;
  result.peak_flops = MeasureFlops(options.threads);
  result.peak_bandwidth = MeasureReadBandwidth(
      options.threads,
      static_cast<size_t>(WeightBytes(options.weight_type) * StepWeights(options.denoiser->spec()) /
                          runner.sharing()));
  return result;
}

absl::Status WriteSampleBenchmark(const std::string& path, const BenchSampleOptions& options,
                                  const BenchSampleResult& result) {
  const DenoiserSpec& spec = options.denoiser->spec();
  const auto size = static_cast<size_t>(spec.size());
  std::vector<float> noise(options.batch * size), prompts;
  for (size_t i = 0; i < options.batch; ++i) {
    FillNormal({.seed = options.seed, .sample = i, .stage = kInitialNoiseStage},
               {noise.data() + i * size, size});
    prompts.insert(prompts.end(), result.prompts[i].data.begin(), result.prompts[i].data.end());
  }
  const std::vector<int64_t> shape = {static_cast<int64_t>(options.batch), spec.context_length,
                                      spec.width};
  return WriteFileAtomic(
      path, SerializeSafetensors({{"initial_noise", {.shape = shape, .data = noise}},
                                  {"prompts", {.shape = shape, .data = prompts}}},
                                 {{"sampler", std::string(Name(options.sampling.sampler))},
                                  {"steps", absl::StrCat(options.sampling.steps)}}));
}

}  // namespace ddpt
