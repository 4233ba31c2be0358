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
  const Figures figures = FiguresOf(Sum(*CountExamples(predictions, references)));
  const std::vector<std::string> names = {"conala", "codexglue", "huggingface", "sacrebleu",
                                          "chrf",   "rouge_l",   "meteor"};
  for (size_t i = 0; i < names.size(); ++i) {
    EXPECT_NEAR(figures[i + 1], GoldenCorpus(names[i]), 1e-6) << kFigureNames[i + 1];
  }
}

TEST(FiguresTest, ExactMatchIsTheShareOfEqualTexts) {
  const std::vector<std::string> predictions = {"a", "b ", "", "C"},
                                 references = {"a", "b", "", "c"};
  EXPECT_EQ(FiguresOf(Sum(*CountExamples(predictions, references)))[8], 0.5);
}

TEST(FiguresTest, WithALanguageThereIsCodeBleu) {
  const std::vector<std::string> predictions = {"x = y\nz = x", "f()"},
                                 references = {"a = b\nc = a", "f()"};
  const auto examples = CountExamples(predictions, references, {.language = CodeLanguage::kPython});
  const Figures figures = FiguresOf(Sum(*examples));
  const CodeBleu score = ScoreCodeBleu(Sum(*examples).code_bleu);
  EXPECT_EQ(figures[9], score.compat);
  EXPECT_EQ(figures[10], score.strict);
  EXPECT_EQ(figures[13], 1);
  EXPECT_EQ(figures[14], 1);
}

TEST(FiguresTest, ThreadsChangeNothing) {
  std::vector<std::string> predictions, references;
  for (int i = 0; i < 200; ++i) {
    references.push_back("x = f(" + std::to_string(i % 7) + ")\ny = x");
    predictions.push_back(i % 3 == 0 ? references.back() : "x = (" + std::to_string(i));
  }
  const auto figures_of = [&](size_t threads) {
    const FigureOptions options = {.language = CodeLanguage::kPython, .threads = threads};
    return FiguresOf(Sum(*CountExamples(predictions, references, options)));
  };
  EXPECT_EQ(figures_of(1), figures_of(4));
}

TEST(FiguresTest, AnExampleThatCannotBeParsedIsNamed) {
  const std::vector<std::string> predictions = {"x", std::string(100'000, 'x')},
                                 references = {"x", "x"};
  const absl::Status status =
      CountExamples(predictions, references, {.language = CodeLanguage::kC}).status();
  EXPECT_EQ(status.message(),
            "example 2, prediction: code of 100000 bytes; at most 65536 are parsed");
}

}  // namespace
}  // namespace ddpt
