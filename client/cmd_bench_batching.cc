#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_format.h"
#include "client/batching_load.h"
#include "client/bench_batching.h"
#include "client/commands.h"
#include "client/flags.h"
#include "client/load.h"
#include "client/output.h"
#include "client/progress.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

struct BatchingFlags {
  std::string dtype = "float32";
  BenchBatchingOptions options;
  bool served = false;
};

nlohmann::ordered_json Report(const BatchingFigures& figures) {
  const auto tokens = static_cast<double>(figures.tokens);
  nlohmann::ordered_json report = {{"seconds", figures.seconds},
                                   {"tokens", tokens},
                                   {"tokens_per_second", tokens / figures.seconds}};
  if (figures.steps > 0) report["tokens_per_step"] = tokens / static_cast<double>(figures.steps);
  report.update({{"first_token_p50_seconds", Percentile(figures.first_tokens, 0.5)},
                 {"first_token_p99_seconds", Percentile(figures.first_tokens, 0.99)},
                 {"answer_p50_seconds", Percentile(figures.answers, 0.5)},
                 {"answer_p99_seconds", Percentile(figures.answers, 0.99)}});
  return report;
}

void Print(const char* kind, const BatchingFigures& figures, Session& session) {
  session.out << absl::StrFormat(
      "%s batching: %.0f tokens/s, first token p50 %s, p99 %s, answer p99 %s\n", kind,
      static_cast<double>(figures.tokens) / figures.seconds,
      DurationWord(Percentile(figures.first_tokens, 0.5)),
      DurationWord(Percentile(figures.first_tokens, 0.99)),
      DurationWord(Percentile(figures.answers, 0.99)));
}

// What ran it, beside what the figures say.
absl::StatusOr<nlohmann::ordered_json> Measure(const BatchingFlags& flags, const Session& session,
                                               const std::function<void(size_t)>& on_run,
                                               BatchingResult& result) {
  if (flags.served) {
    BatchingLoadOptions options = {flags.options, session.connection};
    DDPT_ASSIGN_OR_RETURN(result, RunBatchingLoad(options, on_run));
    return nlohmann::ordered_json{{"server", options.connection.target}};
  }
  DDPT_ASSIGN_OR_RETURN(const BenchBatchingResult alone, BenchBatching(flags.options, on_run));
  result = alone;
  return nlohmann::ordered_json{{"threads", flags.options.threads},
                                {"dtype", ModelDtypeName(alone.dtype)},
                                {"device", flags.options.device}};
}

absl::Status Run(BatchingFlags& flags, Session& session) {
  const BatchingWork& work = flags.options;
  DDPT_ASSIGN_OR_RETURN(flags.options.dtype, ParseModelDtype(flags.dtype));
  BatchingResult result;
  nlohmann::ordered_json ran;
  {
    ProgressBar progress(session.err, session.terminal, "generating");
    const auto on_run = [&](size_t run) {
      if (!session.json) progress.Update(run, work.runs, "");
    };
    DDPT_ASSIGN_OR_RETURN(ran, Measure(flags, session, on_run, result));
  }
  if (!session.json) {
    Print("continuous", result.continuous, session);
    Print("static", result.fixed, session);
    return absl::OkStatus();
  }
  nlohmann::ordered_json report = {
      {"clients", work.clients},           {"batch", work.batch},
      {"requests", work.requests},         {"runs", work.runs},
      {"input_tokens", work.input_tokens}, {"output_tokens", work.output_tokens}};
  report.update(ran);
  report["continuous"] = Report(result.continuous);
  report["static"] = Report(result.fixed);
  PrintJson(session, report);
  return absl::OkStatus();
}

}  // namespace

void AddBenchBatching(CLI::App& bench, Session& session) {
  CLI::App* command = bench.add_subcommand(
      "batching", "Continuous against static batching of mixed lengths; needs no server");
  auto flags = std::make_shared<BatchingFlags>();
  BenchBatchingOptions& options = flags->options;
  AddBenchModelFlags(*command, options, flags->dtype);
  CLI::Option* served = command->add_flag("--served", flags->served,
                                          "Through the server, with --batch as its "
                                          "--generate-batch; a token of an instruction is a word");
  for (const char* own : {"--model", "--dtype", "--device", "--threads"}) {
    served->excludes(command->get_option(own));
  }
  command->add_option("--clients", options.clients, "At the same time")->capture_default_str();
  command->add_option("--batch", options.batch, "Rows that generate together")
      ->capture_default_str();
  command->add_option("--requests", options.requests, "Of all clients in a run")
      ->capture_default_str();
  command->add_option("--input-tokens", options.input_tokens, "Of the longest instruction")
      ->capture_default_str();
  command->add_option("--output-tokens", options.output_tokens, "Of the longest answer")
      ->capture_default_str();
  command->add_option("--runs", options.runs, "Timed runs of each kind")->capture_default_str();
  command->callback([flags, &session] { session.status = Run(*flags, session); });
}

}  // namespace ddpt
