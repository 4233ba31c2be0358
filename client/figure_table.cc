#include "client/figure_table.h"

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>

#include "absl/strings/str_format.h"

namespace ddpt {
namespace {

using Json = nlohmann::ordered_json;

// The figure less the one it is compared with.
Figure Difference(const FigureRow& row) {
  Figure difference = row.figure;
  difference.value -= row.against->value;
  std::transform(difference.resampled.begin(), difference.resampled.end(),
                 row.against->resampled.begin(), difference.resampled.begin(), std::minus());
  return difference;
}

Json IntervalToJson(const Figure& figure) {
  const Interval interval = PercentileInterval(figure.resampled);
  return {interval.low, interval.high};
}

Json DifferenceToJson(const FigureRow& row) {
  const Figure difference = Difference(row);
  Json json = {{"value", difference.value}};
  if (difference.resampled.empty()) return json;
  json["interval"] = IntervalToJson(difference);
  json["p"] = PairedPValue(difference.value, difference.resampled);
  return json;
}

template <typename ToJson>
Json ByKey(const std::vector<FigureRow>& rows, ToJson to_json) {
  Json json;
  for (const FigureRow& row : rows) json[row.key] = to_json(row);
  return json;
}

// "0.1000 .. 0.1500"; nothing without resamples.
std::string IntervalWords(const Figure& figure) {
  if (figure.resampled.empty()) return "";
  const Interval interval = PercentileInterval(figure.resampled);
  return absl::StrFormat("%7.4f ..%7.4f", interval.low, interval.high);
}

// What a row says of the comparison.
std::string ComparisonCells(const FigureRow& row) {
  const Figure difference = Difference(row);
  std::string cells = absl::StrFormat("  %7.4f  %+10.4f", row.against->value, difference.value);
  if (difference.resampled.empty()) return cells;
  absl::StrAppendFormat(&cells, "  %s  %.4f", IntervalWords(difference),
                        PairedPValue(difference.value, difference.resampled));
  return cells;
}

}  // namespace

void PrintFigures(const std::vector<FigureRow>& rows, std::ostream& out) {
  const bool intervals = !rows.front().figure.resampled.empty();
  out << absl::StrFormat("%-15s%7s  %-17s", "", "figure", intervals ? "95 % interval" : "");
  if (rows.front().against)
    out << "  against  difference" << (intervals ? "  95 % interval           p" : "");
  out << "\n";
  for (const FigureRow& row : rows) {
    out << absl::StrFormat("%-15s%7.4f  %-17s", row.title, row.figure.value,
                           IntervalWords(row.figure));
    if (row.against) out << ComparisonCells(row);
    out << "\n";
  }
}

Json FiguresToJson(const std::vector<FigureRow>& rows, const Json& counts,
                   const ResampleOptions& options) {
  Json json = ByKey(rows, [](const FigureRow& row) { return row.figure.value; });
  json.update(counts);
  if (options.resamples > 0) {
    json["intervals"] =
        ByKey(rows, [](const FigureRow& row) { return IntervalToJson(row.figure); });
    json["resamples"] = options.resamples;
    json["seed"] = options.seed;
  }
  if (rows.front().against) {
    json["against"] = ByKey(rows, [](const FigureRow& row) { return row.against->value; });
    json["difference"] = ByKey(rows, DifferenceToJson);
  }
  return json;
}

}  // namespace ddpt
