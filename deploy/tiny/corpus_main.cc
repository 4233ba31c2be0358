#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "deploy/tiny/problems.h"
#include "deploy/tiny/tasks.h"

namespace ddpt::tiny {
namespace {

struct Flags {
  std::string folder = "deploy/tiny";
  std::string task;
  Split split = Split::kTrain;
  size_t skip = 0;
  bool problems = false;
  uint64_t seed = 1;
  uint64_t count = 1000;
};

void Print(const nlohmann::ordered_json& line) { std::puts(line.dump().c_str()); }

void PrintExample(const TaskExample& example) {
  Print({{"instruction", example.instruction},
         {"code", example.code},
         {"oracle_text", example.oracle_text},
         {"shown_text", example.shown_text}});
}

void PrintCorpus(const Corpus& corpus, const Flags& flags) {
  for (uint64_t i = 0; i < flags.count; ++i) {
    const CorpusExample example = corpus.Example(flags.seed, flags.split, i);
    Print({{"encoder_text", example.encoder_text},
           {"decoder_text", example.decoder_text},
           {"code", example.code},
           {"intent", example.intent},
           {"style", example.style},
           {"telling", TellingName(example.telling)},
           {"shown", example.shown}});
  }
}

absl::Status PrintTask(std::shared_ptr<const Corpus> corpus, const Flags& flags) {
  const auto tasks = TaskSet::Load(std::move(corpus), flags.folder);
  if (!tasks.ok()) return tasks.status();
  const Task* task = (*tasks)->Find(flags.task);
  if (task == nullptr) return absl::NotFoundError("no task named " + flags.task);
  size_t number = flags.skip;
  for (const TaskExample& example : (*tasks)->Examples(*task, flags.split, flags.skip)) {
    const std::string id =
        flags.task + "/" + std::string(SplitName(flags.split)) + "/" + std::to_string(number++);
    if (!flags.problems) {
      PrintExample(example);
    } else if (const auto problem = ProblemOf(example, id)) {
      Print(*problem);
    }
  }
  return absl::OkStatus();
}

absl::Status Run(const Flags& flags) {
  auto corpus = Corpus::Load(flags.folder);
  if (!corpus.ok()) return corpus.status();
  if (!flags.task.empty()) return PrintTask(*std::move(corpus), flags);
  PrintCorpus(**corpus, flags);
  return absl::OkStatus();
}

}  // namespace
}  // namespace ddpt::tiny

int main(int argc, char** argv) {
  using ddpt::tiny::Split;
  ddpt::tiny::Flags flags;
  CLI::App app("Prints the tiny model's corpus, or the examples of one task, as JSON lines.");
  app.add_option("--folder", flags.folder, "Folder of corpus.json and tasks.json")
      ->capture_default_str();
  app.add_option("--task", flags.task, "Task to print; without it, the base model's corpus");
  const std::map<std::string, Split> splits = {
      {"train", Split::kTrain}, {"validation", Split::kValidation}, {"test", Split::kTest}};
  app.add_option("--split", flags.split, "train, validation or test")
      ->transform(CLI::CheckedTransformer(splits));
  app.add_option("--skip", flags.skip,
                 "Examples of the task's split to leave out in front; as many others follow")
      ->check(CLI::Range(0, 100'000))
      ->capture_default_str();
  app.add_flag("--problems", flags.problems,
               "Print those of the task's examples that can be run as problems for ddpt evaluate");
  app.add_option("--seed", flags.seed, "Seed of the corpus")->capture_default_str();
  app.add_option("--count", flags.count, "Examples of the corpus")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = ddpt::tiny::Run(flags);
  if (!status.ok()) std::fprintf(stderr, "ddpt-corpus: %s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
