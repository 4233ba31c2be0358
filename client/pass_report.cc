#include "client/pass_report.h"

#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "client/figure_table.h"
#include "client/output.h"

namespace ddpt {
namespace {

using Json = nlohmann::ordered_json;

Figure FigureOf(const JudgedMethod& method, uint32_t k, const ResampleOptions& options) {
  const std::vector<double> passes = PassesAtK(method.counts, k);
  const double sum = std::accumulate(passes.begin(), passes.end(), 0.0);
  return {sum / static_cast<double>(passes.size()), ResampledMeans(passes, options)};
}

std::vector<FigureRow> RowsOf(const PassReport& report) {
  std::vector<FigureRow> rows;
  for (const uint32_t k : report.k) {
    const std::string name = absl::StrCat("pass@", k);
    rows.push_back({name, name, FigureOf(report.method, k, report.options)});
    if (report.against) rows.back().against = FigureOf(*report.against, k, report.options);
  }
  return rows;
}

std::map<Outcome, uint64_t> OutcomesOf(const JudgedMethod& method) {
  std::map<Outcome, uint64_t> outcomes;
  for (const Verdict& verdict : method.verdicts) ++outcomes[verdict.outcome];
  return outcomes;
}

double ProgramsPerSecond(const JudgedMethod& method) {
  return static_cast<double>(method.verdicts.size()) / method.seconds;
}

Json CountsOf(const JudgedMethod& method) {
  Json outcomes;
  for (const auto& [outcome, count] : OutcomesOf(method))
    outcomes[std::string(OutcomeName(outcome))] = count;
  return {{"problems", method.counts.size()},
          {"samples", method.verdicts.size()},
          {"outcomes", outcomes},
          {"programs_per_second", ProgramsPerSecond(method)}};
}

void PrintTable(const PassReport& report, std::ostream& out) {
  PrintFigures(RowsOf(report), out);
  const JudgedMethod& method = report.method;
  out << CountWord(method.counts.size()) << " problems, " << CountWord(method.verdicts.size())
      << " samples";
  const char* separator = ": ";
  for (const auto& [outcome, count] : OutcomesOf(method)) {
    out << separator << CountWord(count) << " "
        << absl::StrReplaceAll(OutcomeName(outcome).data(), {{"_", " "}});
    separator = ", ";
  }
  out << absl::StrFormat("; %.1f programs a second\n", ProgramsPerSecond(method));
}

}  // namespace

JudgedMethod CountPasses(const std::vector<Problem>& problems,
                         std::span<const Completion> completions, std::vector<Verdict> verdicts) {
  std::map<std::string, SampleCount> counts;
  for (size_t i = 0; i < completions.size(); ++i) {
    SampleCount& count = counts[completions[i].task_id];
    ++count.samples;
    count.passed += verdicts[i].outcome == Outcome::kPassed ? 1 : 0;
  }
  JudgedMethod method{.verdicts = std::move(verdicts), .counts = {}};
  for (const Problem& problem : problems) method.counts.push_back(counts[problem.task_id]);
  return method;
}

void PrintReport(const PassReport& report, Session& session) {
  if (session.json) {
    PrintJson(session, FiguresToJson(RowsOf(report), CountsOf(report.method), report.options));
  } else {
    PrintTable(report, session.out);
  }
}

}  // namespace ddpt
