#include "client/evaluation_report.h"

#include <array>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>

#include "client/figure_table.h"
#include "client/output.h"

namespace ddpt {
namespace {

constexpr std::array<const char*, kFigureNames.size()> kTitles = {
    "BLEU-4",   "  CoNaLa", "  CodeXGLUE", "  Hugging Face", "  sacrebleu",
    "chrF",     "ROUGE-L",  "METEOR",      "exact",          "CodeBLEU",
    "  strict", "  n-gram", "  weighted",  "  syntax",       "  data flow"};

// How many of them the report has.
size_t FigureCount(const EvaluationReport& report) {
  return report.language.empty() ? kTextFigures : kFigureNames.size();
}

const char* MeteorStages(const EvaluationReport& report) {
  return report.synonyms ? "exact+stem+wordnet" : "exact+stem";
}

std::vector<double> Column(const std::vector<Figures>& rows, size_t figure) {
  std::vector<double> column;
  for (const Figures& row : rows) column.push_back(row[figure]);
  return column;
}

Figure FigureOf(const MethodFigures& method, size_t figure) {
  return {method.figures[figure], Column(method.resampled, figure)};
}

std::vector<FigureRow> RowsOf(const EvaluationReport& report) {
  std::vector<FigureRow> rows;
  for (size_t i = 0; i < FigureCount(report); ++i) {
    rows.push_back({std::string(kFigureNames[i]), kTitles[i], FigureOf(report.method, i)});
    if (report.against) rows.back().against = FigureOf(*report.against, i);
  }
  return rows;
}

void PrintTable(const EvaluationReport& report, std::ostream& out) {
  PrintFigures(RowsOf(report), out);
  out << "over " << CountWord(report.examples) << " examples";
  if (report.options.resamples > 0)
    out << ", resampled " << CountWord(report.options.resamples) << " times";
  out << "; METEOR " << MeteorStages(report);
  if (!report.language.empty()) out << "; CodeBLEU " << report.language;
  out << "\n";
}

}  // namespace

void PrintReport(const EvaluationReport& report, Session& session) {
  if (session.json) {
    nlohmann::ordered_json counts = {{"examples", report.examples},
                                     {"meteor_stages", MeteorStages(report)}};
    if (!report.language.empty()) counts["language"] = report.language;
    PrintJson(session, FiguresToJson(RowsOf(report), counts, report.options));
  } else {
    PrintTable(report, session.out);
  }
}

}  // namespace ddpt
