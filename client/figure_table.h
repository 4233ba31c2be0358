#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "core/evaluation/bootstrap.h"

namespace ddpt {

// A figure over examples, and over each resample of them; without resamples it has no interval.
struct Figure {
  double value;
  std::vector<double> resampled = {};
};

// A row of a report. Where two methods are compared all rows have `against`, of the same resamples.
struct FigureRow {
  std::string key;    // in JSON
  std::string title;  // in a table
  Figure figure;
  std::optional<Figure> against = std::nullopt;
};

// A line a row, under a header: figure and interval, and where two methods are compared the other
// figure, the difference with its interval, and p of the paired bootstrap test.
void PrintFigures(const std::vector<FigureRow>& rows, std::ostream& out);

// The figures by key; then the members of `counts`; then, with resamples, `intervals`, `resamples`
// and `seed`; and where two methods are compared `against` and `difference`: value, interval and p.
nlohmann::ordered_json FiguresToJson(const std::vector<FigureRow>& rows,
                                     const nlohmann::ordered_json& counts,
                                     const ResampleOptions& options);

}  // namespace ddpt
