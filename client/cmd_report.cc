#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <CLI/Validators.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/commands.h"
#include "client/evaluation_file.h"
#include "client/evaluation_sections.h"
#include "client/example_section.h"
#include "client/html.h"
#include "client/job_events.h"
#include "client/learning_curves.h"
#include "client/output.h"
#include "client/pages.h"
#include "client/prompt_section.h"
#include "client/result_tables.h"
#include "client/session.h"
#include "core/base/file.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

struct ReportFlags {
  std::string file;
  std::string title;       // "": made of what is reported
  std::string evaluation;  // the file; "": none
  ExampleChoice choice;
  NamedFiles passes, safety;
  PictureOptions picture;         // of sample.task; "": none
  std::vector<std::string> jobs;  // without any: that which made the task's version
  uint64_t seed = 1;
};

std::string EvaluationHead(const EvaluationFile& evaluation) {
  return absl::StrCat("<dl>\n", Fact("Model", EscapeHtml(evaluation.model)),
                      Fact("Examples", absl::StrCat(CountWord(evaluation.examples.size()), "<br>",
                                                    CodeElement(evaluation.dataset_digest))),
                      "</dl>\n");
}

absl::StatusOr<std::string> EvaluationPart(const ReportFlags& flags) {
  if (flags.evaluation.empty()) return "";
  DDPT_ASSIGN_OR_RETURN(const EvaluationFile evaluation, ReadEvaluationFile(flags.evaluation));
  ExampleChoice choice = flags.choice;
  choice.seed = flags.seed;
  DDPT_ASSIGN_OR_RETURN(const std::string examples, ExamplesSection(evaluation, choice));
  return absl::StrCat(EvaluationHead(evaluation), EvaluationTable(evaluation),
                      StepsSection(evaluation), examples);
}

std::string JobSection(const std::vector<v1::JobEvent>& events) {
  const v1::TrainingJob& job = events.back().job();
  return absl::StrCat("<h2>Training: ", EscapeHtml(job.job_id()), " of task ",
                      EscapeHtml(job.task()), "</h2>\n", "<p class=\"notes\">",
                      EnumWord(*v1::Method_descriptor(), job.method(), "METHOD_"), ", ",
                      CountWord(job.step()), " of ", CountWord(job.total_steps()), " steps, ",
                      CountWord(job.train_examples()), " examples.</p>\n",
                      LearningCurves(events).LossPlot("Loss, nats per token"));
}

// The job that made the version, if the server knows it.
absl::StatusOr<std::vector<std::string>> JobsOf(Client& client, const v1::Receipt& receipt) {
  v1::ListJobsRequest request;
  request.set_task(receipt.task());
  DDPT_ASSIGN_OR_RETURN(const v1::ListJobsResponse all,
                        AllPages(client, request, &Client::ListJobs));
  std::vector<std::string> jobs;
  for (const v1::TrainingJob& job : all.jobs()) {
    if (job.version() == receipt.version()) jobs.push_back(job.job_id());
  }
  return jobs;
}

absl::StatusOr<std::string> ServerPart(const ReportFlags& flags, Session& session) {
  if (flags.picture.sample.task().empty() && flags.jobs.empty()) return "";
  DDPT_ASSIGN_OR_RETURN(const auto client, session.Connect());
  std::string prompts, curves;
  std::vector<std::string> jobs = flags.jobs;
  if (!flags.picture.sample.task().empty()) {
    PictureOptions options = flags.picture;
    options.tsne.seed = flags.seed;
    options.sample.mutable_sampling()->set_seed(flags.seed);
    DDPT_ASSIGN_OR_RETURN(const PromptPicture picture, TakePromptPicture(*client, options));
    prompts = PromptSection(picture);
    if (jobs.empty()) {
      DDPT_ASSIGN_OR_RETURN(jobs, JobsOf(*client, picture.drawn.receipt()));
    }
  }
  for (const std::string& job : jobs) {
    DDPT_ASSIGN_OR_RETURN(const auto events, EventsSoFar(*client, job));
    curves += JobSection(events);
  }
  return curves + prompts;
}

std::string TitleOf(const ReportFlags& flags) {
  if (!flags.title.empty()) return flags.title;
  if (!flags.picture.sample.task().empty()) {
    return absl::StrCat("Task ", flags.picture.sample.task());
  }
  return "Evaluation";
}

absl::Status Report(const ReportFlags& flags, Session& session) {
  DDPT_ASSIGN_OR_RETURN(const std::string evaluation, EvaluationPart(flags));
  DDPT_ASSIGN_OR_RETURN(const std::string passes, PassSection(flags.passes));
  DDPT_ASSIGN_OR_RETURN(const std::string safety, SafetySection(flags.safety));
  DDPT_ASSIGN_OR_RETURN(const std::string server, ServerPart(flags, session));
  const std::string parts = absl::StrCat(evaluation, passes, safety, server);
  if (parts.empty()) {
    return absl::InvalidArgumentError(
        "report needs one of --evaluation, --pass, --safety, --task and --job");
  }
  const std::string title = TitleOf(flags);
  const std::string page =
      HtmlPage(title, absl::StrCat("<h1>", EscapeHtml(title), "</h1>\n", parts));
  DDPT_RETURN_IF_ERROR(WriteFileAtomic(flags.file, page));
  if (session.json) {
    PrintJson(session, {{"file", flags.file}, {"bytes", page.size()}});
  } else {
    session.out << absl::StrFormat("%s: %s bytes\n", flags.file, CountWord(page.size()));
  }
  return absl::OkStatus();
}

// NAME=FILE, which may be given again.
void AddNamedFiles(CLI::App& command, const std::string& flag, NamedFiles& files,
                   const std::string& help) {
  command.add_option_function<std::vector<std::string>>(
      flag,
      [flag, &files](const std::vector<std::string>& pairs) {
        for (const std::string& pair : pairs) {
          const size_t equals = pair.find('=');
          if (equals == std::string::npos) {
            throw CLI::ValidationError(flag, pair + " is not NAME=FILE");
          }
          files.emplace_back(pair.substr(0, equals), pair.substr(equals + 1));
        }
      },
      help);
}

void AddTaskFlags(CLI::App& command, PictureOptions& picture) {
  v1::SampleRequest& sample = picture.sample;
  sample.set_count(8);
  CLI::Option* task = command.add_option_function<std::string>(
      "--task", [&](const std::string& value) { sample.set_task(value); },
      "Draws prompts of this task: nearest tokens, norms, t-SNE among the vocabulary");
  std::vector<CLI::Option*> options = {
      command.add_option_function<uint64_t>(
          "--task-version", [&](uint64_t value) { sample.set_version(value); },
          "Default: the active version"),
      command.add_option_function<std::string>(
          "--instruction", [&](const std::string& value) { sample.set_instruction(value); },
          "For conditional tasks"),
      command.add_option_function<uint32_t>(
          "--steps", [&](uint32_t value) { sample.mutable_sampling()->set_steps(value); },
          "Sampling steps; default 2000"),
      command
          .add_option_function<uint32_t>(
              "--draws", [&](uint32_t value) { sample.set_count(value); }, "Prompts; default 8")
          ->check(CLI::Range(1, 64)),
      command.add_option("--tokens", picture.tokens, "Of the vocabulary, at random, in the t-SNE")
          ->check(CLI::Range(4, 3000))
          ->capture_default_str(),
      command
          .add_option("--perplexity", picture.tsne.perplexity,
                      "Of the t-SNE; less where there are too few points")
          ->check(CLI::Range(1.0, 1000.0))
          ->capture_default_str()};
  for (CLI::Option* option : options) option->needs(task);
}

constexpr char kFooter[] =
    R"(An evaluation is a file of `ddpt evaluate --data ... --outcomes FILE`. Contenders task:NAME@STEPS of
one task make charts of quality over sampling steps. Only --task and --job need a server.
With --json: file, bytes.

)";

}  // namespace

void AddReportCommand(CLI::App& app, Session& session) {
  CLI::App* command =
      app.add_subcommand("report", "Write what a task or an evaluation is worth to one HTML page");
  auto flags = std::make_shared<ReportFlags>();
  command->add_option("--out", flags->file, "Page to be written, .html")->required();
  command->add_option("--title", flags->title, "Of the page");
  CLI::Option* evaluation =
      command->add_option("--evaluation", flags->evaluation, "File of evaluate --outcomes");
  command
      ->add_option("--method", flags->choice.method,
                   "Contender whose best and worst examples are shown; default the last")
      ->needs(evaluation);
  command
      ->add_option("--examples", flags->choice.count,
                   "Shown of the best, of the worst and at random, each")
      ->check(CLI::Range(0, 100))
      ->capture_default_str()
      ->needs(evaluation);
  AddNamedFiles(*command, "--pass", flags->passes,
                "NAME=FILE, what ddpt --json evaluate --problems printed; again for more");
  AddNamedFiles(*command, "--safety", flags->safety,
                "NAME=FILE, what ddpt --json safety printed; again for more");
  AddTaskFlags(*command, flags->picture);
  command->add_option("--job", flags->jobs,
                      "Training job with its learning curves; again for more; default: that which "
                      "made the version of --task");
  command
      ->add_option("--seed", flags->seed,
                   "Of the prompts, of the examples and tokens chosen at random, of the t-SNE")
      ->capture_default_str();
  command->footer(absl::StrCat(kFooter, command->get_footer()));
  command->callback([flags, &session] { session.status = Report(*flags, session); });
}

}  // namespace ddpt
