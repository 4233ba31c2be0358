#include "deploy/tiny/problems.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "deploy/tiny/problem_inputs.h"

namespace ddpt::tiny {
namespace {

using testing::HasSubstr;

class ProblemsTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    tasks_ = TaskSet::Load(Corpus::Load(DDPT_TINY_DIR).value(), DDPT_TINY_DIR).value();
  }

  static std::vector<TaskExample> Examples(std::string_view name) {
    return tasks_->Examples(*tasks_->Find(name), Split::kTest);
  }

  static inline std::unique_ptr<TaskSet> tasks_;
};

TEST_F(ProblemsTest, PythonIsRunAndSqlWhereItIsAboutData) {
  std::map<std::string, size_t> run;
  for (const char* name : {"pyline", "pydef", "house", "mixed", "sql", "js", "sh", "conv"}) {
    for (const TaskExample& example : Examples(name))
      run[name] += ProblemOf(example, "x").has_value();
  }
  const size_t all = Examples("house").size();
  EXPECT_EQ(run, (std::map<std::string, size_t>{{"pyline", all},
                                                {"pydef", all},
                                                {"house", all},
                                                {"mixed", all},
                                                {"sql", all / 2},
                                                {"js", 0},
                                                {"sh", 0},
                                                {"conv", 0}}));
}

TEST_F(ProblemsTest, AnExpressionGetsItsFunctionFromThePrompt) {
  for (const TaskExample& example : Examples("pyline")) {
    if (example.request.intent->name != "sum values") continue;
    const auto problem = *ProblemOf(example, "pyline/1");
    EXPECT_EQ(problem["task_id"], "pyline/1");
    EXPECT_EQ(problem["instruction"], example.instruction);
    EXPECT_EQ(problem["canonical_solution"], example.code);
    EXPECT_THAT(problem["prompt"], HasSubstr("def sum_values("));
    EXPECT_THAT(problem["suffix"], HasSubstr("sum_values(*arguments)"));
    return;
  }
  FAIL() << "no such intent";
}

TEST_F(ProblemsTest, InputsDependOnTheRequestAndTheirNumberAlone) {
  const TaskExample example = Examples("pydef").back();
  const ProblemInputs one = DrawInputs(example.request, 0);
  EXPECT_EQ(one.files, DrawInputs(example.request, 0).files);
  EXPECT_NE(one.files, DrawInputs(example.request, 1).files);
}

TEST_F(ProblemsTest, InputsHoldWhatTheRequestAsksFor) {
  for (const TaskExample& example : Examples("pydef")) {
    if (example.request.intent->name == "value of key") {
      const SlotValue& word = example.request.values.at("word");
      EXPECT_TRUE(DrawInputs(example.request, 0).arguments[0].contains(word.first + word.second));
    }
    if (example.request.intent->name == "first rows") {
      EXPECT_GE(DrawInputs(example.request, 0).arguments[0].size(), 100u);
    }
  }
}

}  // namespace
}  // namespace ddpt::tiny
