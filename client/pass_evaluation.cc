#include "client/pass_evaluation.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <CLI/Validators.hpp>
#include <algorithm>
#include <chrono>
#include <map>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "client/in_order.h"
#include "client/pass_report.h"
#include "core/base/file.h"
#include "core/base/processors.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

constexpr uint32_t kChoicesOfCall = 16;  // the contract's limit of decoding.n
constexpr size_t kCallsAtATime = 8;
constexpr double kSampledTemperature = 0.8;

using Clock = std::chrono::steady_clock;

// One call's share of a problem's samples.
struct Draw {
  const Problem* problem;
  v1::GenerateRequest request;
};

std::vector<Draw> DrawsOf(const std::vector<Problem>& problems, uint32_t samples,
                          const v1::GenerateRequest& request) {
  std::vector<Draw> draws;
  for (const Problem& problem : problems) {
    for (uint32_t first = 0; first < samples; first += kChoicesOfCall) {
      Draw& draw = draws.emplace_back(Draw{&problem, request});
      draw.request.set_instruction(problem.instruction);
      v1::DecodingOptions& decoding = *draw.request.mutable_decoding();
      decoding.set_n(std::min(samples - first, kChoicesOfCall));
      if (decoding.has_seed()) decoding.set_seed(decoding.seed() + first);
    }
  }
  return draws;
}

absl::StatusOr<std::vector<Completion>> GenerateDraw(Client& client, const Draw& draw) {
  std::map<uint32_t, std::string> texts;
  DDPT_RETURN_IF_ERROR(client.Generate(draw.request, [&](const v1::GenerateResponse& message) {
    texts[message.choice_index()] += message.text();
    return true;
  }));
  std::vector<Completion> completions;
  for (auto& [choice, text] : texts)
    completions.push_back({draw.problem->task_id, std::move(text)});
  return completions;
}

absl::StatusOr<std::vector<Completion>> Generate(const PassFlags& flags,
                                                 const std::vector<Problem>& problems,
                                                 Session& session) {
  v1::GenerateRequest request = flags.request;
  DDPT_ASSIGN_OR_RETURN(*request.mutable_prompt(), flags.prompt.Resolve());
  if (!request.decoding().has_temperature() && flags.samples > 1)
    request.mutable_decoding()->set_temperature(kSampledTemperature);
  DDPT_ASSIGN_OR_RETURN(const auto client, session.Connect());
  const std::vector<Draw> draws = DrawsOf(problems, flags.samples, request);
  std::vector<Completion> all;
  DDPT_RETURN_IF_ERROR(InOrder(
      draws.size(), kCallsAtATime, [&](size_t i) { return GenerateDraw(*client, draws[i]); },
      [&](std::vector<Completion> completions) {
        for (Completion& completion : completions) all.push_back(std::move(completion));
      }));
  return all;
}

absl::Status CheckSamples(const std::vector<Problem>& problems,
                          const std::vector<Completion>& completions,
                          const std::vector<uint32_t>& k) {
  std::map<std::string, uint32_t> samples;
  for (const Completion& completion : completions) ++samples[completion.task_id];
  const uint32_t most = *std::max_element(k.begin(), k.end());
  for (const Problem& problem : problems) {
    if (const uint32_t count = samples[problem.task_id]; count < most) {
      return absl::InvalidArgumentError(absl::StrCat(
          "pass@", most, " needs as many samples: problem \"", problem.task_id, "\" has ", count));
    }
  }
  return absl::OkStatus();
}

std::vector<Trial> TrialsOf(const std::vector<Problem>& problems,
                            const std::vector<Completion>& completions) {
  std::map<std::string, const Problem*> by_id;
  for (const Problem& problem : problems) by_id[problem.task_id] = &problem;
  std::vector<Trial> trials;
  for (const Completion& completion : completions) {
    const Problem& problem = *by_id.at(completion.task_id);
    trials.push_back({.program = ProgramOf(problem, completion.completion),
                      .entry_point = problem.entry_point,
                      .test = problem.test,
                      .prompt = problem.prompt});
  }
  return trials;
}

JudgedMethod RunMethod(const Judge& judge, const PassFlags& flags,
                       const std::vector<Problem>& problems,
                       const std::vector<Completion>& completions) {
  const auto start = Clock::now();
  auto verdicts = RunTrials(judge, TrialsOf(problems, completions),
                            flags.programs > 0 ? flags.programs : UsableProcessors());
  JudgedMethod method = CountPasses(problems, completions, std::move(verdicts));
  method.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return method;
}

absl::Status WriteVerdicts(const std::string& path, const std::vector<Completion>& completions,
                           const std::vector<Verdict>& verdicts) {
  std::string lines;
  for (size_t i = 0; i < completions.size(); ++i) {
    const nlohmann::ordered_json line = {{"task_id", completions[i].task_id},
                                         {"completion", completions[i].completion},
                                         {"outcome", OutcomeName(verdicts[i].outcome)},
                                         {"detail", verdicts[i].detail},
                                         {"seconds", verdicts[i].seconds},
                                         {"output", verdicts[i].output}};
    absl::StrAppend(
        &lines, line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace), "\n");
  }
  return WriteFileAtomic(path, lines);
}

}  // namespace

CLI::Option* AddPassFlags(CLI::App& command, PassFlags& flags) {
  const std::string group = "Programs, run with their tests";
  CLI::Option* problems = command.add_option(
      "--problems", flags.problems,
      "JSON Lines as of HumanEval: task_id, prompt, entry_point, test; and optionally instruction, "
      "suffix");
  CLI::Option* completions =
      command.add_option("--completions", flags.completions,
                         "JSON Lines of task_id and completion; without it the server writes them");
  std::vector<CLI::Option*> options = {
      completions,
      command.add_option("--samples", flags.samples, "Of each problem, from the server; default 1")
          ->check(CLI::Range(1, 1000))
          ->excludes(completions),
      command.add_option("--k", flags.k, "pass@k for each of these; default 1")
          ->check(CLI::Range(1, 1000)),
      command.add_option("--out", flags.out,
                         "Also write the completions and what came of them to this file"),
      command.add_option("--programs", flags.programs, "Run at a time; default: one a processor")
          ->check(CLI::Range(1, 256)),
      command
          .add_option("--program-seconds", flags.sandbox.limits.seconds,
                      "Of each program and its tests by the clock; default 5")
          ->check(CLI::Range(1, 3600)),
      command.add_flag("--unsafe", flags.sandbox.unsafe,
                       "Run programs without isolation, where the system denies namespaces: they "
                       "see files and network of this machine"),
      command.add_option_function<uint64_t>(
          "--prompt-seed",
          [&](uint64_t value) { flags.request.mutable_sampling()->set_seed(value); },
          "Of the prompt that the server samples of --task; default: drawn by the server")};
  for (CLI::Option* option : options) option->needs(problems)->group(group);
  problems->group(group);
  flags.prompt.Add(command);
  AddDecoderPrefixFlag(command,
                       [&](v1::DecoderPrefix value) { flags.request.set_decoder_prefix(value); });
  AddDecodingFlags(command, *flags.request.mutable_decoding());
  return problems;
}

absl::Status EvaluatePasses(const PassFlags& flags, const ResampleOptions& options,
                            Session& session) {
  DDPT_ASSIGN_OR_RETURN(const auto problems, ReadProblems(flags.problems));
  DDPT_ASSIGN_OR_RETURN(const Judge judge, Judge::Create(flags.sandbox));
  std::vector<Completion> completions, others;
  if (flags.completions.empty()) {
    DDPT_ASSIGN_OR_RETURN(completions, Generate(flags, problems, session));
  } else {
    DDPT_ASSIGN_OR_RETURN(completions, ReadCompletions(flags.completions, problems));
  }
  DDPT_RETURN_IF_ERROR(CheckSamples(problems, completions, flags.k));
  if (!flags.against.empty()) {
    DDPT_ASSIGN_OR_RETURN(others, ReadCompletions(flags.against, problems));
    DDPT_RETURN_IF_ERROR(CheckSamples(problems, others, flags.k));
  }
  PassReport report{
      .method = RunMethod(judge, flags, problems, completions), .k = flags.k, .options = options};
  if (!others.empty()) report.against = RunMethod(judge, flags, problems, others);
  if (!flags.out.empty()) {
    DDPT_RETURN_IF_ERROR(WriteVerdicts(flags.out, completions, report.method.verdicts));
  }
  PrintReport(report, session);
  return absl::OkStatus();
}

}  // namespace ddpt
