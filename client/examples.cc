#include "client/examples.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <nlohmann/json.hpp>

#include "client/in_order.h"
#include "core/base/file.h"
#include "core/base/status.h"

namespace ddpt {

CLI::Option* AddExamplesFlags(CLI::App& command, ExamplesFlags& flags) {
  CLI::Option* examples = command.add_option(
      "--examples", flags.path,
      "All of a JSON Lines file with instruction and code; answers are JSON Lines too");
  command
      .add_option("--concurrency", flags.concurrency,
                  "Examples on their way at a time; default 32, at most 256")
      ->check(CLI::Range(1, 256))
      ->needs(examples);
  return examples;
}

absl::Status AnswerExamples(
    const ExamplesFlags& flags, Session& session,
    const std::function<absl::StatusOr<nlohmann::ordered_json>(const TrainingExample&)>& answer) {
  DDPT_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(flags.path, kMaxDatasetBytes));
  DDPT_ASSIGN_OR_RETURN(const Dataset dataset,
                        ParseDataset(bytes, {.kind = DatasetFormat::Kind::kJsonLines}));
  return InOrder(
      dataset.examples.size(), flags.concurrency,
      [&](size_t i) { return answer(dataset.examples[i]); },
      [&](const nlohmann::ordered_json& line) { session.out << line.dump() << "\n"; });
}

}  // namespace ddpt
