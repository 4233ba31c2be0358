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
nlohmann::json CountsJson(const BleuCounts& counts, bool exact) {
  return {{"matches", counts.matches},
          {"totals", counts.totals},
          {"prediction_tokens", counts.prediction_tokens},
          {"reference_tokens", counts.reference_tokens},
          {"exact", exact}};
}

absl::Status Evaluate(const EvaluateFlags& flags, Session& session) {
  DDPT_ASSIGN_OR_RETURN(const auto predictions, ReadCodes(flags.predictions));
  DDPT_ASSIGN_OR_RETURN(const auto references, ReadCodes(flags.references));
  if (predictions.size() != references.size() || predictions.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        flags.predictions, " has ", predictions.size(), " examples, but ", flags.references,
        " has ", references.size(), "; both must have the same number, at least 1"));
  }
  BleuCounts counts;
  size_t exact = 0;
  std::string counts_lines;
  for (size_t i = 0; i < predictions.size(); ++i) {
    const BleuCounts example = CountBleu(predictions[i], references[i]);
    const bool same = predictions[i] == references[i];
    counts += example;
    exact += same;
    absl::StrAppend(&counts_lines, CountsJson(example, same).dump(), "\n");
  }
  if (!flags.counts_file.empty()) {
    DDPT_RETURN_IF_ERROR(WriteFileAtomic(flags.counts_file, counts_lines));
  }
  const double share = static_cast<double>(exact) / static_cast<double>(predictions.size());
  const double bleu = CorpusBleu(counts);
  if (session.json) {
    PrintJson(session, {{"bleu4", bleu}, {"exact_match", share}, {"examples", predictions.size()}});
  } else {
    session.out << absl::StrFormat("BLEU-4 %.4f, exact %.4f, over %d examples\n", bleu, share,
                                   predictions.size());
  }
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
  command->add_option("--counts", flags->counts_file,
                      "Also write each example's n-gram counts to this file, JSON Lines");
  command->callback([flags, &session] { session.status = Evaluate(*flags, session); });
}

}  // namespace ddpt
