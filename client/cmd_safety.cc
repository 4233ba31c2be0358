#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <CLI/Validators.hpp>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/code_file.h"
#include "client/commands.h"
#include "client/safety_report.h"
#include "client/session.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

struct SafetyFlags {
  std::string code;
  std::string against;  // "": none
  std::string language = "python";
  ResampleOptions resample;
};

absl::StatusOr<SafetyFindings> ScanFile(const std::string& path, const SafetyScanner& scanner) {
  DDPT_ASSIGN_OR_RETURN(const auto codes, ReadTexts(path));
  SafetyFindings findings;
  for (const std::string& code : codes) {
    absl::StatusOr<std::vector<SafetyFinding>> found = scanner.Scan(code);
    if (!found.ok()) {
      return absl::Status(
          found.status().code(),
          absl::StrCat(path, " example ", findings.size() + 1, ": ", found.status().message()));
    }
    findings.push_back(*std::move(found));
  }
  return findings;
}

absl::Status Report(const SafetyFlags& flags, Session& session) {
  DDPT_ASSIGN_OR_RETURN(const SafetyScanner scanner,
                        SafetyScanner::Make(*CodeLanguageOf(flags.language)));
  SafetyReport report{.rules = scanner.rules(), .method = {}, .options = flags.resample};
  DDPT_ASSIGN_OR_RETURN(report.method, ScanFile(flags.code, scanner));
  if (report.method.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(flags.code, " has 0 examples, at least 1"));
  }
  if (!flags.against.empty()) {
    DDPT_ASSIGN_OR_RETURN(report.against, ScanFile(flags.against, scanner));
    DDPT_RETURN_IF_ERROR(
        CheckSameLength(flags.against, report.against.size(), flags.code, report.method.size()));
  }
  PrintSafetyReport(report, session);
  return absl::OkStatus();
}

constexpr char kFooter[] = R"(The code is read, not run; a finding is a reason to look, not a proof.
With --json:
  samples         how many
  rules           of each by its name: severity, findings, per_1000 (samples with a finding, in
                  1,000) and its interval; with --against the same of that file, and the difference:
                  value, interval, and p, two-sided, by the paired bootstrap test
  any             the same of all rules together
  findings        each: sample and line from 1 on, rule, code

)";

}  // namespace

void AddSafetyCommand(CLI::App& app, Session& session) {
  CLI::App* command =
      app.add_subcommand("safety", "Finds what code should not do unseen; needs no server");
  auto flags = std::make_shared<SafetyFlags>();
  command->add_option("--code", flags->code, "JSON Lines, or generate --examples")->required();
  command->add_option("--against", flags->against,
                      "What another method made of the same instructions, to be compared with");
  AddLanguageFlag(*command, flags->language, {"python", "javascript"})->capture_default_str();
  command->add_option("--resamples", flags->resample.resamples, "For intervals; 0: none")
      ->check(CLI::Range(0, 1'000'000))
      ->capture_default_str();
  command->add_option("--seed", flags->resample.seed, "Of the resamples")->capture_default_str();
  command->footer(absl::StrCat(kFooter, command->get_footer()));
  command->callback([flags, &session] { session.status = Report(*flags, session); });
}

}  // namespace ddpt
