#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "client/commands.h"
#include "client/output.h"
#include "client/session.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/evaluation/bleu.h"
#include "core/evaluation/chrf.h"

namespace ddpt {
namespace {

constexpr uint64_t kFileLimit = uint64_t{256} << 20;

struct EvaluateFlags {
  std::string predictions;
  std::string references;
  std::string counts_file;  // "": none
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

// Of one example: what figures over any choice of the examples can be made from.
struct ExampleCounts {
  BleuCounts bleu;
  ChrfCounts chrf;
  bool exact = false;
};

nlohmann::json ToJson(const ExampleCounts& example) {
  const auto& [bleu, chrf, exact] = example;
  return {
      {"matches", bleu.matches},
      {"totals", bleu.totals},
      {"prediction_tokens", bleu.prediction_tokens},
      {"reference_tokens", bleu.reference_tokens},
      {"chrf",
       {{"matches", chrf.matches}, {"prediction", chrf.prediction}, {"reference", chrf.reference}}},
      {"exact", exact}};
}

std::vector<ExampleCounts> Count(const std::vector<std::string>& predictions,
                                 const std::vector<std::string>& references) {
  std::vector<ExampleCounts> examples;
  for (size_t i = 0; i < predictions.size(); ++i) {
    examples.push_back({CountBleu(predictions[i], references[i], kCodeTokenBleu),
                        CountChrf(predictions[i], references[i]), predictions[i] == references[i]});
  }
  return examples;
}

absl::Status WriteCounts(const std::string& path, const std::vector<ExampleCounts>& examples) {
  std::string lines;
  for (const ExampleCounts& example : examples)
    absl::StrAppend(&lines, ToJson(example).dump(), "\n");
  return WriteFileAtomic(path, lines);
}

void PrintFigures(const std::vector<ExampleCounts>& examples, Session& session) {
  ExampleCounts sum;
  size_t same = 0;
  for (const ExampleCounts& example : examples) {
    sum.bleu += example.bleu;
    sum.chrf += example.chrf;
    same += example.exact;
  }
  const double bleu = Bleu(sum.bleu, kCodeTokenBleu.corpus), chrf = Chrf(sum.chrf);
  const double exact = static_cast<double>(same) / static_cast<double>(examples.size());
  if (session.json) {
    PrintJson(
        session,
        {{"bleu4", bleu}, {"chrf", chrf}, {"exact_match", exact}, {"examples", examples.size()}});
  } else {
    session.out << absl::StrFormat("BLEU-4 %.4f, chrF %.4f, exact %.4f, over %d examples\n", bleu,
                                   chrf, exact, examples.size());
  }
}

absl::Status Evaluate(const EvaluateFlags& flags, Session& session) {
  DDPT_ASSIGN_OR_RETURN(const auto predictions, ReadCodes(flags.predictions));
  DDPT_ASSIGN_OR_RETURN(const auto references, ReadCodes(flags.references));
  if (predictions.size() != references.size() || predictions.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        flags.predictions, " has ", predictions.size(), " examples, but ", flags.references,
        " has ", references.size(), "; both must have the same number, at least 1"));
  }
  const std::vector<ExampleCounts> examples = Count(predictions, references);
  if (!flags.counts_file.empty()) {
    DDPT_RETURN_IF_ERROR(WriteCounts(flags.counts_file, examples));
  }
  PrintFigures(examples, session);
  return absl::OkStatus();
}

}  // namespace

void AddEvaluateCommand(CLI::App& app, Session& session) {
  CLI::App* command =
      app.add_subcommand("evaluate", "Scores files of code against references; needs no server");
  auto flags = std::make_shared<EvaluateFlags>();
  command->add_option("--predictions", flags->predictions, "JSON Lines, or generate --examples")
      ->required();
  command->add_option("--references", flags->references, "JSON Lines in the same order")
      ->required();
  command->add_option(
      "--counts", flags->counts_file,
      "Also write each example's n-gram counts of BLEU-4 and chrF to this file, JSON Lines");
  command->callback([flags, &session] { session.status = Evaluate(*flags, session); });
}

}  // namespace ddpt
