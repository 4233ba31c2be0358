#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <CLI/Validators.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/check.h"
#include "client/commands.h"
#include "client/output.h"
#include "client/session.h"

namespace ddpt {
namespace {

const char* WordOf(CheckResult::Outcome outcome) {
  switch (outcome) {
    case CheckResult::Outcome::kPassed:
      return "passed";
    case CheckResult::Outcome::kFailed:
      return "FAILED";
    case CheckResult::Outcome::kSkipped:
      return "skipped";
  }
  return "";
}

absl::Status Check(CheckOptions& options, Session& session) {
  options.connection = session.connection;
  const auto print = [&](const CheckResult& result) {
    if (session.json) return;
    session.out << absl::StrFormat("%-18s %-8s %7s  %s\n", result.name, WordOf(result.outcome),
                                   DurationWord(result.seconds), result.detail)
                << std::flush;
  };
  const std::vector<CheckResult> results = RunChecks(options, print);
  const auto failed = std::count_if(results.begin(), results.end(), [](const CheckResult& result) {
    return result.outcome == CheckResult::Outcome::kFailed;
  });
  if (session.json) {
    nlohmann::ordered_json checks = nlohmann::ordered_json::array();
    for (const CheckResult& result : results) {
      checks.push_back({{"name", result.name},
                        {"outcome", WordOf(result.outcome)},
                        {"detail", result.detail},
                        {"seconds", result.seconds}});
    }
    PrintJson(session, {{"checks", checks}, {"failed", failed}});
  }
  if (failed == 0) return absl::OkStatus();
  return absl::UnknownError(absl::StrCat(failed, " of ", results.size(), " checks failed"));
}

}  // namespace

void AddCheckCommand(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand(
      "check", "Whether a server keeps what it promises; ends with 1 where a check fails");
  auto options = std::make_shared<CheckOptions>();
  command->add_option("--task", options->task, "Default: the first without conditions");
  command->add_option("--metrics", options->metrics, "HOST:PORT of the server's metrics")
      ->envname("DDPT_METRICS");
  command
      ->add_option("--overload", options->overload,
                   "Sends this many requests at once; default 0: none")
      ->check(CLI::Range(size_t{0}, size_t{4096}));
  command
      ->add_option("--drain", options->drain,
                   "Ends the server, this process on this machine, by SIGTERM")
      ->check(CLI::PositiveNumber);
  auto patience = std::make_shared<double>(5);
  command->add_option("--patience", *patience, "Seconds for what is to happen soon; default 5")
      ->check(CLI::Range(0.1, 600.0));
  command->callback([options, patience, &session] {
    options->patience = std::chrono::milliseconds(static_cast<int64_t>(1e3 * *patience));
    session.status = Check(*options, session);
  });
}

}  // namespace ddpt
