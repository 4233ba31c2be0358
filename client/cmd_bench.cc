#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/bench_generate.h"
#include "client/bench_sample.h"
#include "client/bench_train.h"
#include "client/commands.h"
#include "client/flags.h"
#include "client/load.h"
#include "client/output.h"
#include "client/progress.h"
#include "client/session.h"
#include "core/base/device.h"
#include "core/base/status.h"
#include "core/diffusion/random_denoiser.h"

namespace ddpt {
namespace {

struct SampleFlags {
  std::string denoiser;
  std::string write;
  std::string sampler = "ddim";
  std::string dtype = "float32";
  std::string device = "cpu";
  int64_t size = 10'240;
  int64_t latent = 256;
  BenchSampleOptions options;
};

// n = 10 where that divides D, else the fewest context tokens whose width the format allows.
absl::StatusOr<DenoiserSpec> SpecFor(int64_t size, int64_t latent) {
  DenoiserSpec spec;
  spec.latent = latent;
  spec.method = Method::kRandom;
  if (size < 1) return FieldError("width", absl::StrCat(size, " is below 1"));
  while (size % spec.context_length != 0 || size / spec.context_length > 16'384) {
    spec.context_length = spec.context_length == 10 ? 1 : spec.context_length + 1;
    if (spec.context_length > 256) {
      return FieldError("width", absl::StrCat(size, " is not n * w with n <= 256, w <= 16384"));
    }
  }
  spec.width = size / spec.context_length;
  DDPT_RETURN_IF_ERROR(ValidateSpec(spec));
  return spec;
}

absl::StatusOr<std::shared_ptr<const Denoiser>> MakeDenoiser(const SampleFlags& flags) {
  if (!flags.denoiser.empty()) return Denoiser::Load(flags.denoiser);
  DDPT_ASSIGN_OR_RETURN(const DenoiserSpec spec, SpecFor(flags.size, flags.latent));
  return RandomDenoiser(spec, /*seed=*/0);
}

// What every benchmark says, with what is its own in between.
nlohmann::ordered_json Report(const BenchResult& result, const nlohmann::ordered_json& own) {
  const double median = result.median();
  nlohmann::ordered_json report = {{"median_seconds", median},
                                   {"best_seconds", result.seconds.front()},
                                   {"runs", result.seconds.size()}};
  report.update(own);
  report.update({{"flop", result.flop},
                 {"bytes", result.bytes},
                 {"flop_per_second", result.flop / median},
                 {"bytes_per_second", result.bytes / median}});
  if (!result.has_peaks()) return report;
  report.update({{"peak_flop_per_second", result.peak_flops},
                 {"peak_bytes_per_second", result.peak_bandwidth},
                 {"bound", result.bound()},
                 {"share_of_peak", result.share_of_peak()}});
  return report;
}

std::string ShareWords(const BenchResult& result) {
  if (!result.has_peaks()) return "";
  return absl::StrFormat("; %.0f %% of what this machine's %s allow", 100 * result.share_of_peak(),
                         result.bound() == "flops" ? "multiply-adds" : "reads");
}

nlohmann::ordered_json Report(const SampleFlags& flags, const BenchSampleResult& result) {
  const DenoiserSpec& spec = flags.options.denoiser->spec();
  const auto batch = static_cast<double>(flags.options.batch);
  return Report(result, {{"prompts_per_second", batch / result.median()},
                         {"batch", flags.options.batch},
                         {"threads", flags.options.threads},
                         {"steps", flags.options.sampling.steps},
                         {"sampler", flags.sampler},
                         {"width", spec.size()},
                         {"latent", spec.latent},
                         {"layers", spec.layers},
                         {"reading", std::string(Name(spec.reading))},
                         {"dtype", flags.dtype},
                         {"device", flags.device},
                         {"kernels", result.kernels}});
}

absl::Status RunSample(SampleFlags& flags, Session& session) {
  DDPT_ASSIGN_OR_RETURN(flags.options.denoiser, MakeDenoiser(flags));
  flags.options.sampling.sampler = *ParseSampler(flags.sampler);
  if (flags.dtype == "bfloat16") flags.options.weight_type = WeightType::kBfloat16;
  DDPT_ASSIGN_OR_RETURN(flags.options.device, ParseDevice(flags.device));
  BenchSampleResult result;
  {
    ProgressBar progress(session.err, session.terminal, "sampling");
    DDPT_ASSIGN_OR_RETURN(result, BenchSample(flags.options, [&](size_t run) {
                            if (!session.json) progress.Update(run, flags.options.runs, "");
                          }));
  }
  if (!flags.write.empty()) {
    DDPT_RETURN_IF_ERROR(WriteSampleBenchmark(flags.write, flags.options, result));
  }
  const nlohmann::ordered_json report = Report(flags, result);
  if (session.json) {
    PrintJson(session, report);
  } else {
    session.out << absl::StrFormat(
        "%d prompts of %d steps: median %s, best %s over %d runs; %.1f prompts/s%s (%s)\n",
        flags.options.batch, flags.options.sampling.steps, DurationWord(result.median()),
        DurationWord(result.seconds.front()), result.seconds.size(),
        report["prompts_per_second"].get<double>(), ShareWords(result), result.kernels);
  }
  return absl::OkStatus();
}

void AddSample(CLI::App& bench, Session& session) {
  CLI::App* command = bench.add_subcommand("sample", "Time to draw prompts; needs no server");
  auto flags = std::make_shared<SampleFlags>();
  command->add_option("--width", flags->size, "D = n w, the size of a prompt")
      ->capture_default_str();
  command->add_option("--latent", flags->latent, "h, latent width")->capture_default_str();
  command->add_option("--denoiser", flags->denoiser, "Denoiser file; default: random weights");
  command->add_option("--steps", flags->options.sampling.steps, "Reverse steps")
      ->capture_default_str();
  command->add_option("--sampler", flags->sampler, "Of the denoiser's reading")
      ->check(CLI::IsMember({"ancestral", "ddim", "dpm_solver_pp_2m", "residual"}))
      ->capture_default_str();
  command->add_option("--eta", flags->options.sampling.eta, "Of ddim")->capture_default_str();
  command->add_option("--dtype", flags->dtype, "Of the weights in the steps")
      ->check(CLI::IsMember({"float32", "bfloat16"}))
      ->capture_default_str();
  command->add_option("--device", flags->device, "cpu, or cuda:N")->capture_default_str();
  command->add_option("--batch", flags->options.batch, "Prompts a run")->capture_default_str();
  command->add_option("--threads", flags->options.threads, "Threads that share the batch")
      ->capture_default_str();
  command->add_option("--runs", flags->options.runs, "Timed runs")->capture_default_str();
  command->add_option("--seed", flags->options.seed, "Of the noise")->capture_default_str();
  command->add_option("--write", flags->write,
                      "Writes the initial noise and the prompts to this .safetensors file");
  command->callback([flags, &session] { session.status = RunSample(*flags, session); });
}

struct GenerateFlags {
  std::string dtype = "float32";
  BenchGenerateOptions options;
};

nlohmann::ordered_json Report(const GenerateFlags& flags, const BenchGenerateResult& result) {
  const BenchGenerateOptions& options = flags.options;
  const auto tokens = static_cast<double>(options.batch * options.output_tokens);
  nlohmann::ordered_json own = {{"tokens_per_second", tokens / result.median()},
                                {"batch", options.batch},
                                {"threads", options.threads},
                                {"input_tokens", options.input_tokens},
                                {"prefix_tokens", result.prefix_tokens},
                                {"output_tokens", options.output_tokens},
                                {"dtype", ModelDtypeName(result.dtype)},
                                {"device", options.device},
                                {"parameters", result.parameters},
                                {"load_seconds", result.load_seconds},
                                {"token_seconds", result.token_seconds},
                                {"token_bytes", result.token_bytes},
                                {"kept_bytes", result.kept_bytes},
                                {"peak_bytes_loading", result.peak_bytes}};
  if (options.log_probabilities) {
    own.update({{"instructions", result.instructions},
                {"targets", result.targets},
                {"log_probabilities", result.log_probabilities}});
  }
  return Report(result, own);
}

absl::Status RunGenerate(GenerateFlags& flags, Session& session) {
  DDPT_ASSIGN_OR_RETURN(flags.options.dtype, ParseModelDtype(flags.dtype));
  BenchGenerateResult result;
  {
    ProgressBar progress(session.err, session.terminal, "generating");
    DDPT_ASSIGN_OR_RETURN(result, BenchGenerate(flags.options, [&](size_t run) {
                            if (!session.json) progress.Update(run, flags.options.runs, "");
                          }));
  }
  const nlohmann::ordered_json report = Report(flags, result);
  if (session.json) {
    PrintJson(session, report);
    return absl::OkStatus();
  }
  session.out << absl::StrFormat(
      "%d answers of %d tokens: median %s, best %s over %d runs; %.0f tokens/s%s\n",
      flags.options.batch, flags.options.output_tokens, DurationWord(result.median()),
      DurationWord(result.seconds.front()), result.seconds.size(),
      report["tokens_per_second"].get<double>(), ShareWords(result));
  return absl::OkStatus();
}

void AddGenerate(CLI::App& bench, Session& session) {
  CLI::App* command = bench.add_subcommand("generate", "Time to generate code; needs no server");
  auto flags = std::make_shared<GenerateFlags>();
  BenchGenerateOptions& options = flags->options;
  AddBenchModelFlags(*command, options, flags->dtype);
  command->add_option("--batch", options.batch, "Answers a run")->capture_default_str();
  command->add_option("--input-tokens", options.input_tokens, "Of each instruction")
      ->capture_default_str();
  command->add_option("--output-tokens", options.output_tokens, "Of each answer")
      ->capture_default_str();
  command->add_option("--runs", options.runs, "Timed runs")->capture_default_str();
  command->add_flag("--log-probabilities", options.log_probabilities,
                    "With --json: of a made-up answer, to compare dtypes");
  command->callback([flags, &session] { session.status = RunGenerate(*flags, session); });
}

struct TrainFlags {
  std::string dtype = "float32";
  std::string write;
  BenchTrainOptions options;
};

nlohmann::ordered_json Report(const TrainFlags& flags, const BenchTrainResult& result) {
  const BenchTrainOptions& options = flags.options;
  return Report(result, {{"steps_per_second", 1 / result.median()},
                         {"batch", options.batch},
                         {"threads", options.threads},
                         {"context", options.context_length},
                         {"input_tokens", options.input_tokens},
                         {"output_tokens", options.output_tokens},
                         {"dtype", ModelDtypeName(result.dtype)},
                         {"device", options.device},
                         {"parameters", result.parameters},
                         {"loss", result.loss},
                         {"grad_rel_diff", result.grad_rel_diff},
                         {"trunk_bytes", result.trunk_bytes},
                         {"peak_bytes", result.peak_bytes},
                         {"gpu_peak_bytes", result.gpu_peak_bytes},
                         {"full_flop", result.full_flop}});
}

absl::Status RunTrain(TrainFlags& flags, Session& session) {
  DDPT_ASSIGN_OR_RETURN(flags.options.dtype, ParseModelDtype(flags.dtype));
  BenchTrainResult result;
  {
    ProgressBar progress(session.err, session.terminal, "training");
    DDPT_ASSIGN_OR_RETURN(result, BenchTrain(flags.options, [&](size_t run) {
                            if (!session.json) progress.Update(run, flags.options.runs, "");
                          }));
  }
  if (!flags.write.empty()) DDPT_RETURN_IF_ERROR(WriteTrainBenchmark(flags.write, result));
  if (session.json) {
    PrintJson(session, Report(flags, result));
    return absl::OkStatus();
  }
  session.out << absl::StrFormat(
      "a step of %d examples: median %s, best %s over %d runs%s; the gradient differs by %.1e from "
      "the full model's\n",
      flags.options.batch, DurationWord(result.median()), DurationWord(result.seconds.front()),
      result.seconds.size(), ShareWords(result), result.grad_rel_diff);
  return absl::OkStatus();
}

void AddTrain(CLI::App& bench, Session& session) {
  CLI::App* command = bench.add_subcommand(
      "train", "Time of a training step through the frozen model; needs no server");
  auto flags = std::make_shared<TrainFlags>();
  BenchTrainOptions& options = flags->options;
  AddBenchModelFlags(*command, options, flags->dtype);
  command->add_option("--batch", options.batch, "Examples a step")->capture_default_str();
  command->add_option("--context", options.context_length, "Vectors of a prompt")
      ->capture_default_str();
  command->add_option("--input-tokens", options.input_tokens, "Of each instruction")
      ->capture_default_str();
  command->add_option("--output-tokens", options.output_tokens, "Of each answer")
      ->capture_default_str();
  command->add_option("--runs", options.runs, "Timed runs")->capture_default_str();
  command->add_option("--write", flags->write,
                      "Writes examples, prompts and gradient to this .safetensors file");
  command->callback([flags, &session] { session.status = RunTrain(*flags, session); });
}

struct ServeFlags {
  LoadOptions options;
  double seconds = 60;
  bool overload = false;
};

nlohmann::ordered_json Report(const ServeFlags& flags, const LoadResult& result) {
  const double prompts =
      static_cast<double>(result.ok) * std::max(1u, flags.options.request.count());
  nlohmann::ordered_json report = {
      {"clients", flags.options.clients},
      {"seconds", result.seconds},
      {"ok", result.ok},
      {"failed", result.failed()},
      {"errors", result.errors},
      {"refused", result.refusals.size()},
      {"refused_p99_seconds", Percentile(result.refusals, 0.99)},
      {"mismatches", result.mismatches},
      {"requests_per_second", result.ok / result.seconds},
      {"prompts_per_second", prompts / result.seconds},
      {"p50_seconds", Percentile(result.latencies, 0.5)},
      {"p90_seconds", Percentile(result.latencies, 0.9)},
      {"p99_seconds", Percentile(result.latencies, 0.99)},
      {"max_seconds", Percentile(result.latencies, 1)},
      {"overhead_p50_seconds", Percentile(result.overheads, 0.5)},
      {"ok_by_task", result.ok_by_task},
      {"largest_over_smallest_share", result.largest_over_smallest_share()}};
  if (result.server_ok >= 0) {
    report["server_ok"] = result.server_ok;
    report["server_errors"] = result.server_errors;
    report["counts_agree"] = result.counts_agree();
  }
  return report;
}

void PrintLoad(const LoadResult& result, Session& session) {
  session.out << absl::StrFormat(
      "%d ok, %d failed, %d mismatches in %.1f s: %.1f requests/s, p50 %s, p99 %s\n", result.ok,
      result.failed(), result.mismatches, result.seconds, result.ok / result.seconds,
      DurationWord(Percentile(result.latencies, 0.5)),
      DurationWord(Percentile(result.latencies, 0.99)));
  for (const auto& [code, count] : result.errors)
    session.out << "  " << code << " " << count << "\n";
  if (!result.counts_agree()) {
    session.out << "  the server counts " << result.server_ok << " ok, " << result.server_errors
                << " failed\n";
  }
}

absl::Status RunServe(ServeFlags& flags, Session& session) {
  flags.options.connection = session.connection;
  flags.options.duration = std::chrono::milliseconds(static_cast<int64_t>(flags.seconds * 1000));
  DDPT_ASSIGN_OR_RETURN(const LoadResult result, RunLoad(flags.options));
  if (session.json) {
    PrintJson(session, Report(flags, result));
  } else {
    PrintLoad(result, session);
  }
  if (result.mismatches > 0) {
    return absl::DataLossError(
        absl::StrCat(result.mismatches, " answers differ from others of the same seed"));
  }
  if (!result.counts_agree())
    return absl::DataLossError("the server's counts are not the clients'");
  const uint64_t failed = flags.overload ? result.lost() : result.failed();
  if (failed > 0) return absl::InternalError(absl::StrCat(failed, " requests failed"));
  return absl::OkStatus();
}

void AddServe(CLI::App& bench, Session& session) {
  CLI::App* command = bench.add_subcommand(
      "serve",
      "Load on a server: every client samples again and again; fails unless all answers "
      "are good and equal for equal seeds");
  auto flags = std::make_shared<ServeFlags>();
  v1::SampleRequest& request = flags->options.request;
  command->add_option("TASK", flags->options.tasks, "Names of tasks, dealt out to the clients")
      ->required();
  command->add_option("--clients", flags->options.clients, "At the same time")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command->add_option("--seconds", flags->seconds, "How long")
      ->check(CLI::Range(0.1, 1e6))
      ->capture_default_str();
  command
      ->add_option("--rate", flags->options.rate,
                   "Requests a second of all clients; default: as fast as answers come")
      ->check(CLI::Range(0.1, 1e6));
  command->add_flag("--retry", flags->options.retry,
                    "Repeat what was refused for the moment, as other commands do");
  command->add_flag("--overload", flags->overload,
                    "More than the server can serve: to be refused, and told when to come back, is "
                    "no failure");
  command->add_option("--seeds", flags->options.seeds, "Different seeds")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  command->add_option_function<uint32_t>(
      "--count", [&request](uint32_t value) { request.set_count(value); },
      "Prompts a request; default 1");
  AddSamplingFlags(*command, *request.mutable_sampling());
  command->remove_option(command->get_option("--seed"));
  command->remove_option(command->get_option("--steps"));
  command
      ->add_option("--steps", flags->options.steps,
                   "Reverse steps, taken in turn by every client; default 2000")
      ->delimiter(',');
  command->add_option("--metrics", flags->options.metrics,
                      "HOST:PORT of the server's metrics, to compare counts with");
  command->callback([flags, &session] { session.status = RunServe(*flags, session); });
}

}  // namespace

void AddBenchCommands(CLI::App& app, Session& session) {
  CLI::App* bench = app.add_subcommand("bench", "Measurements");
  bench->require_subcommand(1);
  AddSample(*bench, session);
  AddGenerate(*bench, session);
  AddBenchBatching(*bench, session);
  AddTrain(*bench, session);
  AddServe(*bench, session);
}

}  // namespace ddpt
