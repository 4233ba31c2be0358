#include "tests/core/evaluation/golden_pairs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

namespace ddpt {
namespace {

size_t Column(const std::string& figure) {
  const auto& figures = MetricsGolden()["figures"];
  return std::find(figures.begin(), figures.end(), figure) - figures.begin();
}

}  // namespace

const nlohmann::json& MetricsGolden() {
  static const auto* golden = new nlohmann::json(
      nlohmann::json::parse(std::ifstream(DDPT_TEST_DATA "/metrics_golden.json")));
  return *golden;
}

void ExpectGolden(const std::string& figure,
                  const std::function<double(const std::string& prediction,
                                             const std::string& reference)>& score) {
  const auto& examples = MetricsGolden()["examples"];
  ASSERT_EQ(examples.size(), 500u);
  for (const auto& example : examples) {
    const auto& golden = example[2 + Column(figure)];
    EXPECT_NEAR(100 * score(example[0].get<std::string>(), example[1].get<std::string>()),
                golden.is_null() ? 0 : golden.get<double>(), 0.0002)
        << example;
  }
}

double GoldenCorpus(const std::string& figure) {
  return MetricsGolden()["corpus"][Column(figure)].get<double>() / 100;
}

}  // namespace ddpt
