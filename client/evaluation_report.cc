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
    "BLEU-4", "  CoNaLa", "  CodeXGLUE", "  Hugging Face", "  sacrebleu",
    "chrF",   "ROUGE-L",  "METEOR",      "exact"};

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
  for (size_t i = 0; i < kFigureNames.size(); ++i) {
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
  out << "\n";
}

}  // namespace

MethodFigures MeasureMethod(std::span<const ExampleCounts> examples,
                            const ResampleOptions& options) {
  return {FiguresOf(Sum(examples)), ResampledFigures(examples, options)};
}

void PrintReport(const EvaluationReport& report, Session& session) {
  if (session.json) {
    PrintJson(session,
              FiguresToJson(RowsOf(report), {{"examples", report.examples}}, report.options));
  } else {
    PrintTable(report, session.out);
  }
}

}  // namespace ddpt
