#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <span>
#include <sstream>

#include "client/command_line.h"
#include "client/exit_code.h"
#include "core/base/file.h"
#include "core/evaluation/figures.h"

namespace ddpt {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class EvaluateTest : public testing::Test {
 protected:
  EvaluateTest() {
    Write(references_, "{\"code\": \"a = b + c\"}\n{\"code\": \"f(x)\"}\n");
    Write(predictions_, "\"a = b + c\"\n\"f(y)\"\n");
  }

  static void Write(const std::string& path, const std::string& text) {
    ASSERT_TRUE(WriteFileAtomic(path, text).ok());
  }

  // `ddpt evaluate --json`; its exit code.
  int Run(std::vector<std::string> more = {}) {
    more.insert(more.begin(), "--json");
    return RunPlain(more);
  }

  int RunPlain(const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"evaluate", "--predictions", predictions_, "--references",
                                          references_};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunCommandLine(arguments, out_, err_, /*terminal=*/false);
  }

  std::string predictions_ = testing::TempDir() + "predictions.jsonl";
  std::string references_ = testing::TempDir() + "references.jsonl";
  std::ostringstream out_, err_;
};

TEST_F(EvaluateTest, ScoresTheCorpus) {
  ASSERT_EQ(Run(), kExitOk) << err_.str();
  const json report = json::parse(out_.str());
  EXPECT_EQ(report["examples"], 2);
  EXPECT_EQ(report["exact_match"], 0.5);
  // Matches 8 of 9, 5 of 7, 3 of 5, 2 of 3.
  EXPECT_NEAR(report["bleu4"].get<double>(), std::pow(8. / 9 * 5 / 7 * 3 / 5 * 2 / 3, 0.25), 1e-12);
  // Matches 8 of 9, 5 of 7, 3 of 5, 2 of 3, 1 of 1 on both sides; no text has six characters.
  const double mean = (8. / 9 + 5. / 7 + 3. / 5 + 2. / 3 + 1) / 5;
  EXPECT_NEAR(report["chrf"].get<double>(), mean, 1e-12);
}

TEST_F(EvaluateTest, TellsEveryFigureWithAnInterval) {
  ASSERT_EQ(Run({"--resamples", "50", "--seed", "3"}), kExitOk) << err_.str();
  const json report = json::parse(out_.str());
  for (const std::string_view name : std::span(kFigureNames).first(kTextFigures)) {
    const json& interval = report["intervals"][std::string(name)];
    EXPECT_LE(interval[0], report[std::string(name)]) << name;
    EXPECT_GE(interval[1], report[std::string(name)]) << name;
  }
  EXPECT_EQ(report["intervals"]["exact_match"], json({0.0, 1.0}));
  EXPECT_EQ(report["resamples"], 50);
  EXPECT_EQ(report["seed"], 3);
  EXPECT_FALSE(report.contains("difference"));
}

TEST_F(EvaluateTest, WithoutResamplesThereAreNoIntervals) {
  ASSERT_EQ(Run({"--resamples", "0", "--against", predictions_}), kExitOk) << err_.str();
  const json report = json::parse(out_.str());
  EXPECT_FALSE(report.contains("intervals"));
  EXPECT_EQ(report["difference"]["bleu4"], json({{"value", 0.0}}));
}

TEST_F(EvaluateTest, ComparesWithAnotherMethod) {
  const std::string others = testing::TempDir() + "others.jsonl";
  Write(others, "\"a = b\"\n\"f(y)\"\n");
  ASSERT_EQ(Run({"--against", others}), kExitOk) << err_.str();
  const json report = json::parse(out_.str());
  EXPECT_EQ(report["against"]["exact_match"], 0);
  const json& exact = report["difference"]["exact_match"];
  EXPECT_EQ(exact["value"], 0.5);
  EXPECT_EQ(exact["interval"], json({0.0, 1.0}));
  // Resamples of two examples differ by 0, 1/2 or 1: a half from the mean in half of the cases.
  EXPECT_NEAR(exact["p"].get<double>(), 0.5, 0.1);
  EXPECT_NEAR(report["difference"]["chrf"]["value"].get<double>(),
              report["chrf"].get<double>() - report["against"]["chrf"].get<double>(), 1e-12);
}

TEST_F(EvaluateTest, AMethodDoesNotDifferFromItself) {
  ASSERT_EQ(Run({"--against", predictions_}), kExitOk) << err_.str();
  const json difference = json::parse(out_.str())["difference"];
  ASSERT_EQ(difference.size(), kTextFigures);
  for (const auto& [name, entry] : difference.items()) {
    EXPECT_EQ(entry, json({{"value", 0.0}, {"interval", {0.0, 0.0}}, {"p", 1.0}})) << name;
  }
}

TEST_F(EvaluateTest, PrintsATable) {
  ASSERT_EQ(RunPlain({"--against", predictions_}), kExitOk) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("95 % interval"));
  EXPECT_THAT(out_.str(),
              HasSubstr("exact           0.5000   0.0000 .. 1.0000   0.5000     +0.0000"));
  EXPECT_THAT(out_.str(), HasSubstr("over 2 examples, resampled 1,000 times; METEOR exact+stem"));
}

TEST_F(EvaluateTest, AnotherMethodOfOtherExamplesIsRefused) {
  const std::string others = testing::TempDir() + "others.jsonl";
  Write(others, "\"a\"\n");
  EXPECT_EQ(Run({"--against", others}), kExitUsage);
  EXPECT_THAT(err_.str(), HasSubstr("others.jsonl has 1 examples"));
}

TEST_F(EvaluateTest, CountsAreThoseOfEachExample) {
  const std::string counts = testing::TempDir() + "counts.jsonl";
  ASSERT_EQ(Run({"--counts", counts}), kExitOk) << err_.str();
  std::istringstream lines(*ReadFile(counts, 4096));
  std::string first, second;
  std::getline(lines, first);
  std::getline(lines, second);
  EXPECT_EQ(json::parse(first)["matches"], json({5, 4, 3, 2}));
  EXPECT_EQ(json::parse(first)["exact"], true);
  EXPECT_EQ(json::parse(second)["matches"], json({3, 1, 0, 0}));
  EXPECT_EQ(json::parse(second)["totals"], json({4, 3, 2, 1}));
  EXPECT_EQ(json::parse(second)["reference_tokens"], 4);
  EXPECT_EQ(json::parse(second)["chrf"]["matches"], json({3, 1, 0, 0, 0, 0}));
  EXPECT_EQ(json::parse(second)["chrf"]["prediction"], json({4, 3, 2, 1, 0, 0}));
  EXPECT_EQ(json::parse(second)["chrf"]["reference"], json({4, 3, 2, 1, 0, 0}));
}

TEST_F(EvaluateTest, WithALanguageCodeBleuIsTold) {
  ASSERT_EQ(Run({"--language", "python", "--against", predictions_}), kExitOk) << err_.str();
  const json report = json::parse(out_.str());
  EXPECT_EQ(report["language"], "python");
  EXPECT_EQ(report["code_bleu_syntax"], 1);
  EXPECT_EQ(report["code_bleu_data_flow"], 1);
  EXPECT_EQ(report["code_bleu"], report["code_bleu_strict"]);
  EXPECT_TRUE(report["intervals"].contains("code_bleu_ngram"));
  EXPECT_EQ(report["difference"]["code_bleu_strict"]["p"], 1);
  EXPECT_EQ(report["difference"].size(), kFigureNames.size());
}

TEST_F(EvaluateTest, WithoutALanguageThereIsNoCodeBleu) {
  ASSERT_EQ(Run(), kExitOk) << err_.str();
  EXPECT_FALSE(json::parse(out_.str()).contains("code_bleu"));
}

TEST_F(EvaluateTest, ALanguageThatIsUnknownIsRefused) {
  EXPECT_EQ(Run({"--language", "cobol"}), kExitUsage);
  EXPECT_THAT(err_.str(), HasSubstr("cobol"));
}

TEST_F(EvaluateTest, CodeThatCodeBleuDoesNotTakeIsNamed) {
  Write(predictions_, "\"a\"\n\"" + std::string(100'000, 'x') + "\"\n");
  EXPECT_EQ(Run({"--language", "java"}), kExitUsage);
  EXPECT_THAT(err_.str(), HasSubstr("predictions.jsonl example 2, prediction: code of 100000"));
}

TEST_F(EvaluateTest, WithoutWordNetTheStagesSayIt) {
  ASSERT_EQ(Run({"--wordnet", ""}), kExitOk) << err_.str();
  EXPECT_EQ(json::parse(out_.str())["meteor_stages"], "exact+stem");
}

TEST_F(EvaluateTest, AFolderWithoutWordNetIsRefused) {
  EXPECT_EQ(Run({"--wordnet", testing::TempDir() + "no-such-folder"}), kExitNotFound);
}

TEST_F(EvaluateTest, CountsTellTheSources) {
  const std::string sources = testing::TempDir() + "sources.jsonl";
  const std::string counts = testing::TempDir() + "counts.jsonl";
  Write(sources, "{\"instruction\": \"add\", \"code\": \"\"}\n\"call\"\n");
  ASSERT_EQ(Run({"--sources", sources, "--counts", counts}), kExitOk) << err_.str();
  std::istringstream lines(*ReadFile(counts, 4096));
  std::string first, second;
  std::getline(lines, first);
  std::getline(lines, second);
  EXPECT_EQ(json::parse(first)["source"], "add");
  EXPECT_EQ(json::parse(second)["source"], "call");
}

TEST_F(EvaluateTest, SourcesOfAnotherLengthAreRefused) {
  const std::string sources = testing::TempDir() + "sources.jsonl";
  Write(sources, "\"add\"\n");
  EXPECT_EQ(Run({"--sources", sources}), kExitUsage);
  EXPECT_THAT(err_.str(), HasSubstr("sources.jsonl has 1 examples"));
}

TEST_F(EvaluateTest, FilesOfDifferentLengthsAreRefused) {
  Write(predictions_, "\"a\"\n");
  EXPECT_EQ(Run(), kExitUsage);
  EXPECT_THAT(err_.str(), HasSubstr("has 1 examples"));
}

TEST_F(EvaluateTest, ALineThatIsNoCodeIsNamed) {
  Write(predictions_, "\"a\"\n7\n");
  EXPECT_EQ(Run(), kExitUsage);
  EXPECT_THAT(err_.str(), HasSubstr("line 2"));
}

}  // namespace
}  // namespace ddpt
