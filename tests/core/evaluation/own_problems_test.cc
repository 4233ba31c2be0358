#include <vector>

#include "core/evaluation/problems.h"
#include "tests/core/evaluation/sandbox_fixture.h"

namespace ddpt {
namespace {

using OwnProblemsTest = SandboxTest;

// The verdict of each problem on what `complete` gives for it.
template <typename Complete>
std::vector<Verdict> RunAll(const Judge& judge, const std::vector<Problem>& problems,
                            Complete complete) {
  std::vector<Trial> trials;
  for (const Problem& problem : problems) {
    trials.push_back({.program = ProgramOf(problem, complete(problem)),
                      .entry_point = problem.entry_point,
                      .test = problem.test,
                      .prompt = problem.prompt});
  }
  return RunTrials(judge, trials, 2);
}

TEST_F(OwnProblemsTest, CanonicalSolutionsPass) {
  const auto problems = ReadProblems(DDPT_PROBLEMS);
  ASSERT_TRUE(problems.ok()) << problems.status();
  ASSERT_EQ(problems->size(), 40u);
  const auto verdicts = RunAll(TheJudge(), *problems,
                               [](const Problem& problem) { return problem.canonical_solution; });
  for (size_t i = 0; i < verdicts.size(); ++i)
    EXPECT_EQ(verdicts[i].outcome, Outcome::kPassed)
        << problems->at(i).task_id << ": " << verdicts[i].detail;
}

TEST_F(OwnProblemsTest, OtherSolutionsFail) {
  const auto problems = ReadProblems(DDPT_PROBLEMS);
  ASSERT_TRUE(problems.ok()) << problems.status();
  // The one that answers nothing, and that of another problem.
  const auto nothing =
      RunAll(TheJudge(), *problems, [](const Problem&) { return "    return None\n"; });
  const auto others = RunAll(TheJudge(), *problems, [&](const Problem& problem) {
    const size_t i = &problem - problems->data();
    return problems->at((i + 1) % problems->size()).canonical_solution;
  });
  for (size_t i = 0; i < problems->size(); ++i) {
    EXPECT_EQ(nothing[i].outcome, Outcome::kFailed) << problems->at(i).task_id;
    EXPECT_EQ(others[i].outcome, Outcome::kFailed) << problems->at(i).task_id;
  }
}

}  // namespace
}  // namespace ddpt
