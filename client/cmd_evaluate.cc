#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <CLI/Validators.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/code_file.h"
#include "client/commands.h"
#include "client/evaluate_prompts.h"
#include "client/evaluation_report.h"
#include "client/pass_evaluation.h"
#include "client/session.h"
#include "core/base/file.h"
#include "core/base/processors.h"
#include "core/base/status.h"
#include "core/evaluation/bootstrap.h"
#include "core/evaluation/figures.h"
#include "core/evaluation/syntax_tree.h"
#include "core/evaluation/wordnet.h"

namespace ddpt {
namespace {

struct EvaluateFlags {
  std::string predictions;
  std::string references;
  std::string against;      // "": none
  std::string sources;      // "": none
  std::string language;     // "": none, so no CodeBLEU
  std::string wordnet;      // "": none, so no synonyms
  std::string counts_file;  // "": none
  ResampleOptions resample;
  PassFlags pass;
  PromptEvaluation prompts;
};

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

// `sources` are as many, or none.
absl::Status WriteCounts(const std::string& path, const std::vector<ExampleCounts>& examples,
                         const std::vector<std::string>& sources) {
  std::string lines;
  for (size_t i = 0; i < examples.size(); ++i) {
    nlohmann::json line = ToJson(examples[i]);
    if (!sources.empty()) line["source"] = sources[i];
    absl::StrAppend(&lines, line.dump(), "\n");
  }
  return WriteFileAtomic(path, lines);
}

// The counts of the predictions in the file `path`, of which the references' file has as many.
absl::StatusOr<std::vector<ExampleCounts>> CountFile(const std::string& path,
                                                     const EvaluateFlags& flags,
                                                     const std::vector<std::string>& references,
                                                     const FigureOptions& options) {
  DDPT_ASSIGN_OR_RETURN(const auto predictions, ReadTexts(path));
  DDPT_RETURN_IF_ERROR(
      CheckSameLength(path, predictions.size(), flags.references, references.size()));
  auto examples = CountExamples(predictions, references, options);
  if (examples.ok()) return examples;
  return absl::Status(examples.status().code(),
                      absl::StrCat(path, " ", examples.status().message()));
}

absl::Status EvaluateTexts(const EvaluateFlags& flags, Session& session) {
  DDPT_ASSIGN_OR_RETURN(const auto references, ReadTexts(flags.references));
  std::vector<std::string> sources;
  if (!flags.sources.empty()) {
    DDPT_ASSIGN_OR_RETURN(sources, ReadTexts(flags.sources, "instruction"));
    DDPT_RETURN_IF_ERROR(
        CheckSameLength(flags.sources, sources.size(), flags.references, references.size()));
  }
  FigureOptions options{.language = CodeLanguageOf(flags.language), .threads = UsableProcessors()};
  std::optional<WordNet> wordnet;
  if (!flags.wordnet.empty()) {
    DDPT_ASSIGN_OR_RETURN(wordnet, WordNet::Load(flags.wordnet));
    options.wordnet = &*wordnet;
  }
  DDPT_ASSIGN_OR_RETURN(const auto examples,
                        CountFile(flags.predictions, flags, references, options));
  EvaluationReport report{.method = MeasureMethod(examples, flags.resample),
                          .examples = examples.size(),
                          .options = flags.resample,
                          .language = flags.language,
                          .synonyms = wordnet.has_value()};
  if (!flags.against.empty()) {
    DDPT_ASSIGN_OR_RETURN(const auto others, CountFile(flags.against, flags, references, options));
    report.against = MeasureMethod(others, flags.resample);
  }
  if (!flags.counts_file.empty()) {
    DDPT_RETURN_IF_ERROR(WriteCounts(flags.counts_file, examples, sources));
  }
  PrintReport(report, session);
  return absl::OkStatus();
}

absl::Status Evaluate(EvaluateFlags& flags, Session& session) {
  if (flags.prompts.wanted()) {
    return flags.prompts.Run(flags.pass.request.decoding(), flags.resample, flags.language,
                             session);
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
  meteor             the mean of nltk's, of equal words, equal Porter stems, and WordNet's synonyms
                     where its files are (Debian's wordnet-base)
  exact_match        the share of predictions that are the reference
and with --language:
  code_bleu          as the package codebleu 0.7 has it: a quarter for nothing without data flow
  code_bleu_strict   without data flow in the references the mean of the other components
  code_bleu_ngram, _weighted_ngram, _syntax, _data_flow: their components
Of programs, over all problems:
  pass@k             the chance that of k samples one passes, by the unbiased estimator
A program is what a problem's prompt, the completion and the problem's suffix make; it runs in a
sandbox without network, files or other processes, and its tests in another.
With --json of --data: an object of each contender, with value and interval of each figure; else a
key each, and
  meteor_stages      exact+stem, or exact+stem+wordnet
  language           where given
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
  AddLanguageFlag(*command, flags->language, {"python", "javascript", "java", "c", "cpp"})
      ->description("Of the code of --predictions or --data: scores it by CodeBLEU too");
  command->add_option("--sources", flags->sources,
                      "The instructions, JSON Lines in the same order; --counts tells them too");
  if (std::filesystem::exists(absl::StrCat(WordNet::kFolder, "/index.noun"))) {
    flags->wordnet = WordNet::kFolder;
  }
  command
      ->add_option("--wordnet", flags->wordnet,
                   "Folder of WordNet's files, for METEOR's synonyms; \"\": without")
      ->capture_default_str();
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
