#include "client/evaluation_sections.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/example_section.h"
#include "core/base/file.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

void AddCell(EvaluationFile& evaluation, const std::string& contender, const std::string& metric,
             double value) {
  v1::EvaluateResponse::Cell& cell = evaluation.table.emplace_back();
  cell.set_contender(contender);
  cell.set_metric(metric);
  cell.set_value(value);
  cell.set_low(value - 0.125);
  cell.set_high(value + 0.125);
}

// Two methods; the second is better at the first example, worse at the second, alike at the third.
EvaluationFile TwoMethods() {
  EvaluationFile evaluation{
      .model = "tiny", .dataset_digest = "abc", .language = "", .resamples = 1000};
  evaluation.contenders = {{"none", "none"}, {"house", "task:house"}};
  AddCell(evaluation, "none", "nll", 2);
  AddCell(evaluation, "none", "bleu4", 0.25);
  AddCell(evaluation, "house", "nll", 1);
  AddCell(evaluation, "house", "bleu4", 0.75);
  evaluation.examples = {
      {"add two numbers", "return a + b", {{"none", "print(1)"}, {"house", "return a + b"}}},
      {"subtract <them>", "return a - b", {{"none", "return a - b"}, {"house", "pass"}}},
      {"nothing", "pass", {{"none", "pass"}, {"house", "pass"}}}};
  return evaluation;
}

TEST(EvaluationTableTest, HasTheIntervalsAndMarksTheBest) {
  const std::string table = EvaluationTable(TwoMethods());
  EXPECT_THAT(table, AllOf(HasSubstr("<th>NLL, nats a token</th><td>2.0000<small>1.875 – 2.125"),
                           HasSubstr("<td class=\"best\">1.0000<small>"),
                           HasSubstr("<td class=\"best\">0.7500<small>"), HasSubstr("3 examples; "),
                           HasSubstr("1,000 resamples")));
}

TEST(EvaluationTableTest, WithoutResamplesThereAreNoIntervals) {
  EvaluationFile evaluation = TwoMethods();
  evaluation.resamples = 0;
  EXPECT_THAT(EvaluationTable(evaluation),
              AllOf(Not(HasSubstr("<small>")), Not(HasSubstr("95 %"))));
}

TEST(EvaluationTableTest, ACellThatIsMissingIsADash) {
  EvaluationFile evaluation = TwoMethods();
  evaluation.table.pop_back();
  EXPECT_THAT(EvaluationTable(evaluation), HasSubstr("<td>-</td></tr>"));
}

TEST(StepsSectionTest, ContendersOfOneTaskMakeACurve) {
  EvaluationFile evaluation = TwoMethods();
  evaluation.contenders.push_back({"twenty", "task:house@20"});
  evaluation.contenders.push_back({"all", "task:house@2000"});
  AddCell(evaluation, "twenty", "nll", 1);
  AddCell(evaluation, "all", "nll", 0.5);
  EXPECT_THAT(
      StepsSection(evaluation),
      AllOf(HasSubstr("<h2>Quality of house over sampling steps"),
            HasSubstr("<title>NLL, nats a token at 20: 1</title>"),
            HasSubstr("<title>NLL, nats a token at 2000: 0.5"), Not(HasSubstr("<b>BLEU-4"))));
}

TEST(StepsSectionTest, OneNumberOfStepsIsNoCurve) {
  EvaluationFile evaluation = TwoMethods();
  evaluation.contenders.push_back({"twenty", "task:house@20"});
  AddCell(evaluation, "twenty", "nll", 1);
  EXPECT_EQ(StepsSection(evaluation), "");
}

// The examples' numbers in the order in which they are shown, behind the word for why.
std::vector<std::string> Shown(const std::string& section) {
  std::vector<std::string> shown;
  for (size_t at = section.find("<h3>"); at != section.npos; at = section.find("<h3>", at + 1)) {
    shown.push_back(section.substr(at + 4, section.find("</h3>", at) - at - 4));
  }
  return shown;
}

TEST(ExamplesSectionTest, BestAndWorstAreAgainstTheFirstContender) {
  const auto section = ExamplesSection(TwoMethods(), {.count = 1});
  ASSERT_TRUE(section.ok()) << section.status();
  EXPECT_EQ(Shown(*section), (std::vector<std::string>{"Best: example 1", "Worst: example 2",
                                                       "At random: example 3"}));
}

TEST(ExamplesSectionTest, CodesStandBesideTheReference) {
  const auto section = ExamplesSection(TwoMethods(), {.count = 1});
  ASSERT_TRUE(section.ok()) << section.status();
  EXPECT_THAT(*section,
              AllOf(HasSubstr("subtract &lt;them&gt;"),
                    HasSubstr("<figcaption>reference</figcaption><pre>return a - b</pre>"),
                    HasSubstr("house (chrF 1.00)</figcaption><pre>return a + b</pre>")));
}

TEST(ExamplesSectionTest, EqualCodesAreShownOnce) {
  const auto section = ExamplesSection(TwoMethods(), {.count = 1});
  ASSERT_TRUE(section.ok()) << section.status();
  EXPECT_THAT(*section, HasSubstr("<figcaption>none, house (chrF 1.00)</figcaption>"));
}

TEST(ExamplesSectionTest, TheFirstContenderAloneIsJudgedByItself) {
  const auto section = ExamplesSection(TwoMethods(), {.method = "none", .count = 1});
  ASSERT_TRUE(section.ok()) << section.status();
  EXPECT_EQ(Shown(*section)[1], "Worst: example 1");
}

TEST(ExamplesSectionTest, AnUnknownMethodIsRefused) {
  EXPECT_EQ(FieldOf(ExamplesSection(TwoMethods(), {.method = "x"}).status()), "method");
}

TEST(EvaluationFileTest, IsReadAsItWasWritten) {
  const std::string path = testing::TempDir() + "evaluation.json";
  const EvaluationFile evaluation = TwoMethods();
  ASSERT_TRUE(WriteEvaluationFile(path, evaluation).ok());
  const auto read = ReadEvaluationFile(path);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->model, "tiny");
  EXPECT_EQ(read->resamples, 1000u);
  EXPECT_EQ(EvaluationTable(*read), EvaluationTable(evaluation));
  EXPECT_EQ(*ExamplesSection(*read, {}), *ExamplesSection(evaluation, {}));
}

TEST(EvaluationFileTest, AnotherFileIsRefusedByName) {
  const std::string path = testing::TempDir() + "no_evaluation.json";
  ASSERT_TRUE(WriteFileAtomic(path, "{\"model\": \"tiny\"}").ok());
  const absl::Status status = ReadEvaluationFile(path).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(path));
}

}  // namespace
}  // namespace ddpt
