#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <CLI/Validators.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/commands.h"
#include "client/evaluate_prompts.h"
#include "client/evaluation_report.h"
#include "client/pass_evaluation.h"
#include "client/session.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/evaluation/bootstrap.h"
#include "core/evaluation/figures.h"

namespace ddpt {
namespace {

constexpr uint64_t kFileLimit = uint64_t{256} << 20;

struct EvaluateFlags {
  std::string predictions;
  std::string references;
  std::string against;      // "": none
  std::string counts_file;  // "": none
  ResampleOptions resample;
  PassFlags pass;
  PromptEvaluation prompts;
};

// JSON Lines: each a string, or an object with the string `code`.
absl::StatusOr<std::vector<std::string>> ReadCodes(const std::string& path) {
  DDPT_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path, kFileLimit));
  std::vector<std::string> codes;
  size_t number = 0;
  for (const absl::string_view line : absl::StrSplit(bytes, '\n')) {
    ++number;
    if (line.empty()) continue;
    const auto json = nlohmann::json::parse(line.begin(), line.end(), nullptr,
                                            /*allow_exceptions=*/false);
    const auto code = json.is_object() && json.contains("code") ? json["code"] : json;
    if (!code.is_string()) {
      return absl::InvalidArgumentError(absl::StrCat(
          path, " line ", number, ": is neither a JSON string nor an object with \"code\""));
    }
    codes.push_back(code.get<std::string>());
  }
  return codes;
}

// BLEU-4, as `bleu4` has it, chrF and exact match: what their figures over any choice of the
// examples can be made from.
nlohmann::json ToJson(const ExampleCounts& example) {
  const BleuCounts& bleu = example.bleu[0];
  const ChrfCounts& chrf = example.chrf;
  return {
      {"matches", bleu.matches},
      {"totals", bleu.totals},
      {"prediction_tokens", bleu.prediction_tokens},
      {"reference_tokens", bleu.reference_tokens},
      {"chrf",
       {{"matches", chrf.matches}, {"prediction", chrf.prediction}, {"reference", chrf.reference}}},
      {"exact", example.exact == 1}};
}

absl::Status WriteCounts(const std::string& path, const std::vector<ExampleCounts>& examples) {
  std::string lines;
  for (const ExampleCounts& example : examples)
    absl::StrAppend(&lines, ToJson(example).dump(), "\n");
  return WriteFileAtomic(path, lines);
}

// The counts of the predictions in the file `path`, of which the references' file has as many.
absl::StatusOr<std::vector<ExampleCounts>> CountFile(const std::string& path,
                                                     const EvaluateFlags& flags,
                                                     const std::vector<std::string>& references) {
  DDPT_ASSIGN_OR_RETURN(const auto predictions, ReadCodes(path));
  if (predictions.size() != references.size() || predictions.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " has ", predictions.size(), " examples, but ", flags.references,
                     " has ", references.size(), "; both must have the same number, at least 1"));
  }
  return CountExamples(predictions, references);
}

absl::Status EvaluateTexts(const EvaluateFlags& flags, Session& session) {
  DDPT_ASSIGN_OR_RETURN(const auto references, ReadCodes(flags.references));
  DDPT_ASSIGN_OR_RETURN(const auto examples, CountFile(flags.predictions, flags, references));
  EvaluationReport report{.method = MeasureMethod(examples, flags.resample),
                          .examples = examples.size(),
                          .options = flags.resample};
  if (!flags.against.empty()) {
    DDPT_ASSIGN_OR_RETURN(const auto others, CountFile(flags.against, flags, references));
    report.against = MeasureMethod(others, flags.resample);
  }
  if (!flags.counts_file.empty()) {
    DDPT_RETURN_IF_ERROR(WriteCounts(flags.counts_file, examples));
  }
  PrintReport(report, session);
  return absl::OkStatus();
}

absl::Status Evaluate(EvaluateFlags& flags, Session& session) {
  if (flags.prompts.wanted()) {
    return flags.prompts.Run(flags.pass.request.decoding(), flags.resample, session);
  }
  if (flags.pass.problems.empty() && flags.predictions.empty()) {
    return absl::InvalidArgumentError(
        "evaluate needs --predictions and --references, --data, or --problems");
  }
  if (flags.pass.problems.empty()) return EvaluateTexts(flags, session);
  flags.pass.against = flags.against;
  return EvaluatePasses(flags.pass, flags.resample, session);
}

constexpr char kFooter[] =
    R"(Files of code are compared (--predictions), the server's answers to a data set are (--data), or
programs are run (--problems). Figures are from 0 to 1. Of code, over all examples:
  bleu4              BLEU-4 over words and single characters of punctuation, not smoothed
  bleu4_conala       as the CoNaLa challenge has it
  bleu4_codexglue    as CodeXGLUE and CodeT5 have it: what white space parts, 1 added to all counts
  bleu4_huggingface  evaluate's bleu with smooth=True: tokens 13a, 1 added to all counts
  bleu4_sacrebleu    sacrebleu's default: tokens 13a, exponential smoothing
  chrf               sacrebleu's
  rouge_l            the mean of rouge_score's F1, without stemmer
  meteor             the mean of nltk's, of equal words and equal Porter stems, without synonyms
  exact_match        the share of predictions that are the reference
Of programs, over all problems:
  pass@k             the chance that of k samples one passes, by the unbiased estimator
A program is what a problem's prompt, the completion and the problem's suffix make; it runs in a
sandbox without network, files or other processes, and its tests in another.
With --json: a key each, and
  examples           how many; or problems, samples, outcomes (how many passed, failed, timed_out,
                     met the limit of memory or of output, or were killed), programs_per_second
  intervals          of each figure, [low, high]: 95 % percentiles over resamples of the examples
                     or problems
  resamples, seed    of the intervals
  against            the figures of --against
  difference         of each figure, how much larger it is than that of --against: value, interval,
                     and p, two-sided, by the paired bootstrap test of Efron and Tibshirani
The smallest p that can be told is 1 / (1 + resamples).

)";

}  // namespace

void AddEvaluateCommand(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand(
      "evaluate",
      "Scores code, of files or a server's, against references, or runs programs with their tests");
  auto flags = std::make_shared<EvaluateFlags>();
  CLI::Option* problems = AddPassFlags(*command, flags->pass);
  CLI::Option* predictions =
      command->add_option("--predictions", flags->predictions, "JSON Lines, or generate --examples")
          ->excludes(problems);
  CLI::Option* references =
      command->add_option("--references", flags->references, "JSON Lines in the same order");
  predictions->needs(references);
  references->needs(predictions);
  command
      ->add_option(
          "--counts", flags->counts_file,
          "Also write each example's n-gram counts of BLEU-4 and chrF to this file, JSON Lines")
      ->needs(predictions);
  command->add_option("--against", flags->against,
                      "The predictions or completions of another method, to be compared with");
  command
      ->add_option("--resamples", flags->resample.resamples,
                   "Of the examples or problems, for intervals and p-values; 0: none of them")
      ->check(CLI::Range(0, 1'000'000))
      ->capture_default_str();
  command->add_option("--seed", flags->resample.seed, "Of the resamples")->capture_default_str();
  flags->prompts.Add(*command)->excludes(problems)->excludes(predictions);
  command->footer(absl::StrCat(kFooter, command->get_footer()));
  command->callback([flags, &session] { session.status = Evaluate(*flags, session); });
}

}  // namespace ddpt
