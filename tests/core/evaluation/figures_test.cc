#include "core/evaluation/figures.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/core/evaluation/golden_pairs.h"

namespace ddpt {
namespace {

TEST(FiguresTest, AreThoseOfThePackages) {
  std::vector<std::string> predictions, references;
  for (const auto& example : MetricsGolden()["examples"]) {
    predictions.push_back(example[0].get<std::string>());
    references.push_back(example[1].get<std::string>());
  }
  const Figures figures = FiguresOf(Sum(CountExamples(predictions, references)));
  const std::vector<std::string> names = {"conala", "codexglue", "huggingface", "sacrebleu",
                                          "chrf",   "rouge_l",   "meteor"};
  for (size_t i = 0; i < names.size(); ++i) {
    EXPECT_NEAR(figures[i + 1], GoldenCorpus(names[i]), 1e-6) << kFigureNames[i + 1];
  }
}

TEST(FiguresTest, ExactMatchIsTheShareOfEqualTexts) {
  const std::vector<std::string> predictions = {"a", "b ", "", "C"},
                                 references = {"a", "b", "", "c"};
  EXPECT_EQ(FiguresOf(Sum(CountExamples(predictions, references))).back(), 0.5);
}

}  // namespace
}  // namespace ddpt
