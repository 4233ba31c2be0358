#include "client/examples.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <deque>
#include <future>
#include <nlohmann/json.hpp>

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
  std::deque<std::future<absl::StatusOr<nlohmann::ordered_json>>> on_their_way;
  for (size_t next = 0; next < dataset.examples.size() || !on_their_way.empty();) {
    if (next < dataset.examples.size() && on_their_way.size() < flags.concurrency) {
      on_their_way.push_back(
          std::async(std::launch::async, answer, std::cref(dataset.examples[next++])));
      continue;
    }
    const absl::StatusOr<nlohmann::ordered_json> line = on_their_way.front().get();
    on_their_way.pop_front();
    DDPT_RETURN_IF_ERROR(line.status());
    session.out << line->dump() << "\n";
  }
  return absl::OkStatus();
}

}  // namespace ddpt
