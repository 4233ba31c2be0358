#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

namespace ddpt {

// tests/data/metrics_golden.json.
const nlohmann::json& MetricsGolden();

// Expects the figure of each example, 0 to 1, to be the package's within 0.0002 points of
// 100; 0 where the package has none, as it divides by 0.
void ExpectGolden(const std::string& figure,
                  const std::function<double(const std::string& prediction,
                                             const std::string& reference)>& score);

// The package's figure of all examples, 0 to 1.
double GoldenCorpus(const std::string& figure);

}  // namespace ddpt
