#include "client/evaluation_report.h"

#include <algorithm>
#include <array>
#include <functional>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>

#include "absl/strings/str_format.h"
#include "client/output.h"

namespace ddpt {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<const char*, kFigureNames.size()> kTitles = {
    "BLEU-4", "  CoNaLa", "  CodeXGLUE", "  Hugging Face", "  sacrebleu",
    "chrF",   "ROUGE-L",  "METEOR",      "exact"};

std::vector<double> Column(const std::vector<Figures>& rows, size_t figure) {
  std::vector<double> column;
  for (const Figures& row : rows) column.push_back(row[figure]);
  return column;
}

// The method less the other it is compared with.
MethodFigures Difference(const MethodFigures& method, const MethodFigures& against) {
  const auto less = [](Figures figures, const Figures& others) {
    std::transform(figures.begin(), figures.end(), others.begin(), figures.begin(), std::minus());
    return figures;
  };
  MethodFigures difference{less(method.figures, against.figures), {}};
  for (size_t i = 0; i < method.resampled.size(); ++i) {
    difference.resampled.push_back(less(method.resampled[i], against.resampled[i]));
  }
  return difference;
}

Json ToJson(const Interval& interval) { return {interval.low, interval.high}; }

Json ToJson(const Figures& figures) {
  Json json;
  for (size_t i = 0; i < figures.size(); ++i) json[kFigureNames[i]] = figures[i];
  return json;
}

Json IntervalsToJson(const MethodFigures& method) {
  Json json;
  for (size_t i = 0; i < kFigureNames.size(); ++i) {
    json[kFigureNames[i]] = ToJson(PercentileInterval(Column(method.resampled, i)));
  }
  return json;
}

Json DifferenceToJson(const MethodFigures& difference) {
  Json json;
  for (size_t i = 0; i < kFigureNames.size(); ++i) {
    Json& entry = json[kFigureNames[i]];
    entry["value"] = difference.figures[i];
    if (difference.resampled.empty()) continue;
    const std::vector<double> resampled = Column(difference.resampled, i);
    entry["interval"] = ToJson(PercentileInterval(resampled));
    entry["p"] = PairedPValue(difference.figures[i], resampled);
  }
  return json;
}

Json ToJson(const EvaluationReport& report) {
  Json json = ToJson(report.method.figures);
  json["examples"] = report.examples;
  if (report.options.resamples > 0) {
    json["intervals"] = IntervalsToJson(report.method);
    json["resamples"] = report.options.resamples;
    json["seed"] = report.options.seed;
  }
  if (report.against) {
    json["against"] = ToJson(report.against->figures);
    json["difference"] = DifferenceToJson(Difference(report.method, *report.against));
  }
  return json;
}

// "0.1000 .. 0.1500"; nothing without resamples.
std::string IntervalWords(const MethodFigures& method, size_t figure) {
  if (method.resampled.empty()) return "";
  const Interval interval = PercentileInterval(Column(method.resampled, figure));
  return absl::StrFormat("%7.4f ..%7.4f", interval.low, interval.high);
}

// What a row says of the comparison.
std::string ComparisonCells(const MethodFigures& against, const MethodFigures& difference,
                            size_t figure) {
  std::string cells =
      absl::StrFormat("  %7.4f  %+10.4f", against.figures[figure], difference.figures[figure]);
  if (difference.resampled.empty()) return cells;
  const double p = PairedPValue(difference.figures[figure], Column(difference.resampled, figure));
  absl::StrAppendFormat(&cells, "  %s  %.4f", IntervalWords(difference, figure), p);
  return cells;
}

void PrintTable(const EvaluationReport& report, std::ostream& out) {
  const MethodFigures& method = report.method;
  const bool intervals = report.options.resamples > 0;
  std::optional<MethodFigures> difference;
  if (report.against) difference = Difference(method, *report.against);
  out << absl::StrFormat("%-15s%7s  %-17s", "", "figure", intervals ? "95 % interval" : "");
  if (difference)
    out << "  against  difference" << (intervals ? "  95 % interval           p" : "");
  out << "\n";
  for (size_t i = 0; i < kFigureNames.size(); ++i) {
    out << absl::StrFormat("%-15s%7.4f  %-17s", kTitles[i], method.figures[i],
                           IntervalWords(method, i));
    if (difference) out << ComparisonCells(*report.against, *difference, i);
    out << "\n";
  }
  out << "over " << CountWord(report.examples) << " examples";
  if (intervals) out << ", resampled " << CountWord(report.options.resamples) << " times";
  out << "\n";
}

}  // namespace

MethodFigures MeasureMethod(std::span<const ExampleCounts> examples,
                            const ResampleOptions& options) {
  return {FiguresOf(Sum(examples)), ResampledFigures(examples, options)};
}

void PrintReport(const EvaluationReport& report, Session& session) {
  if (session.json) {
    PrintJson(session, ToJson(report));
  } else {
    PrintTable(report, session.out);
  }
}

}  // namespace ddpt
