#include "core/evaluation/judge.h"

#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/core/evaluation/sandbox_fixture.h"
#include "tests/core/registry/temporary_folder.h"

namespace ddpt {
namespace {

using testing::Field;
using testing::HasSubstr;

class JudgeTest : public SandboxTest {
 protected:
  static Outcome OutcomeOf(const std::string& program, const std::string& test) {
    const Verdict verdict = Run(program, test);
    EXPECT_TRUE(verdict.outcome != Outcome::kRefused) << verdict.detail;
    return verdict.outcome;
  }
};

TEST_F(JudgeTest, ARightProgramPasses) {
  const Verdict verdict = Run(
      "def f(a, b=1): return a + b\n",
      "def check(candidate):\n    assert candidate(1) == 2\n    assert candidate(1, b=3) == 4\n");
  EXPECT_EQ(verdict.outcome, Outcome::kPassed) << verdict.detail;
  EXPECT_EQ(verdict.detail, "");
  EXPECT_GT(verdict.seconds, 0);
}

TEST_F(JudgeTest, AFailedCheckIsQuoted) {
  EXPECT_THAT(
      Run("def f(a): return a\n", "def check(candidate):\n\n    assert candidate(1) == 2\n"),
      FailsWith("AssertionError, line 3 of the test: assert candidate(1) == 2"));
}

TEST_F(JudgeTest, TheLastLineOfAnErrorIsTold) {
  const std::string test = "def check(candidate):\n    candidate([])\n";
  EXPECT_THAT(Run("def f(a): return a[0]\n", test),
              FailsWith("IndexError: list index out of range"));
  EXPECT_THAT(Run("def f(a) return a[0]\n", test), FailsWith("SyntaxError: "));
  EXPECT_THAT(Run("def g(a): return a[0]\n", test), FailsWith("KeyError: 'f'"));
  EXPECT_THAT(Run("def f(a): return a\n", "x = 1\n"), FailsWith("KeyError: 'check'"));
}

TEST_F(JudgeTest, WhatIsPrintedIsKept) {
  EXPECT_EQ(
      Run("print('loaded')\ndef f(): print('called')\n", "def check(candidate):\n    candidate()\n")
          .output,
      "loaded\ncalled\n");
}

TEST_F(JudgeTest, PlainValuesTravelBothWays) {
  EXPECT_EQ(OutcomeOf("def f(value): return value\n", R"(
def check(candidate):
    for value in (None, True, 0, -1, 10 ** 5000, 1.5, 1e-300, float('inf'), 'text', '\u2028\ud800', b'\x00\xff', 2 + 3j, [], [1, [2]],
                  (), (1, (2,)), {1, 2}, frozenset('ab'), {}, {'a': 1, 2: (3, None)}, {(1, 2): {3}}):
        answer = candidate(value)
        assert answer == value and type(answer) is type(value), value
)"),
            Outcome::kPassed);
}

TEST_F(JudgeTest, SubclassesOfPlainValuesTravelAsThose) {
  EXPECT_EQ(
      OutcomeOf(
          "import collections, enum\nclass Color(enum.IntEnum):\n    RED = 3\n"
          "def f(): return collections.Counter('aab'), collections.OrderedDict(x=1), Color.RED\n",
          "def check(candidate):\n    assert candidate() == ({'a': 2, 'b': 1}, {'x': 1}, 3)\n"),
      Outcome::kPassed);
}

TEST_F(JudgeTest, OtherValuesAreAFailureThatSaysSo) {
  const std::string test = "def check(candidate):\n    candidate()\n";
  EXPECT_THAT(Run("def f(): return (n for n in [])\n", test),
              FailsWith("a value of type generator cannot be carried"));
  EXPECT_THAT(Run("def f(a): return 1\n", "def check(candidate):\n    candidate(check)\n"),
              FailsWith("a value of type function cannot be carried"));
}

TEST_F(JudgeTest, AValueThatEqualsEverythingDoesNotPass) {
  EXPECT_THAT(Run("class Yes:\n    def __eq__(self, other): return True\ndef f(): return Yes()\n",
                  "def check(candidate):\n    assert candidate() == 5\n"),
              FailsWith("Yes"));
  EXPECT_THAT(Run("class Yes(int):\n    def __eq__(self, other): return True\n    __hash__ = "
                  "int.__hash__\ndef f(): return Yes(1)\n",
                  "def check(candidate):\n    assert candidate() == 5\n"),
              FailsWith("AssertionError"));
}

TEST_F(JudgeTest, ChangesOfArgumentsArrive) {
  EXPECT_EQ(
      OutcomeOf(
          "def f(numbers, words, names):\n    numbers.sort()\n    words['b'] = 2\n    "
          "names.discard('x')\n",
          "def check(candidate):\n    numbers, words, names = [3, 1, 2], {'a': 1}, {'x', 'y'}\n"
          "    assert candidate(numbers, words, names) is None\n"
          "    assert (numbers, words, names) == ([1, 2, 3], {'a': 1, 'b': 2}, {'y'})\n"),
      Outcome::kPassed);
}

TEST_F(JudgeTest, ExceptionsArrive) {
  EXPECT_EQ(OutcomeOf("class Own(Exception): pass\ndef f(own):\n    raise Own('mine') if own else "
                      "ValueError('bad')\n",
                      R"(
def check(candidate):
    try:
        candidate(False)
    except ValueError as error:
        assert str(error) == 'bad'
    else:
        assert False
    try:
        candidate(True)
    except Exception as error:
        assert 'Own: mine' in str(error)
)"),
            Outcome::kPassed);
}

TEST_F(JudgeTest, TestsThatMindNothingDoNotPassAProgramThatEnded) {
  EXPECT_THAT(Run("import os\ndef f(): os._exit(0)\n",
                  "def check(candidate):\n    try:\n        candidate()\n    except "
                  "BaseException:\n        pass\n"),
              FailsWith("the program ended before its tests did"));
}

TEST_F(JudgeTest, ForgedAnswersAreNoVerdict) {
  EXPECT_THAT(Run("import os\nos.write(5, b'what\\n')\n", "def check(candidate):\n    pass\n"),
              FailsWith("something else than an answer"));
  EXPECT_THAT(Run("import os\nfor n in range(3, 64):\n    try: os.write(n, b'16\\n{\"nonce\": "
                  "\"pass\"}')\n    except OSError: pass\n",
                  "def check(candidate):\n    assert candidate() == 1\n"),
              Field(&Verdict::outcome, Outcome::kFailed));
}

TEST_F(JudgeTest, HelpersOfThePromptAreThePromptsOwn) {
  const Trial trial = {
      .program = "def helper(x): return 0\ndef f(x): return 7\n",
      .entry_point = "f",
      .test = "def check(candidate):\n    assert helper(candidate(2)) == 0\n",
      .prompt = "def helper(x):\n    return x - 3\ndef f(x):\n    \"\"\"Three.\"\"\"\n"};
  EXPECT_THAT(TheJudge().Run(trial), FailsWith("assert helper(candidate(2)) == 0"));
}

TEST_F(JudgeTest, ProgramsRunSideBySide) {
  std::vector<Trial> trials;
  for (int i = 0; i < 8; ++i) {
    trials.push_back({.program = "def f(): return " + std::to_string(i % 2) + "\n",
                      .entry_point = "f",
                      .test = "def check(candidate):\n    assert candidate() == 1\n"});
  }
  std::vector<size_t> told;
  const auto verdicts =
      RunTrials(TheJudge(), trials, 4, [&](size_t done) { told.push_back(done); });
  ASSERT_EQ(verdicts.size(), 8u);
  for (size_t i = 0; i < verdicts.size(); ++i) {
    EXPECT_EQ(verdicts[i].outcome, i % 2 == 1 ? Outcome::kPassed : Outcome::kFailed)
        << verdicts[i].detail;
  }
  EXPECT_EQ(told, (std::vector<size_t>{1, 2, 3, 4, 5, 6, 7, 8}));
}

TEST_F(JudgeTest, WithoutAPythonNothingIsJudged) {
  const auto judge = Judge::Create({.limits = Limits(), .python = "/usr/bin/no-python"});
  EXPECT_EQ(judge.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(judge.status().message()), HasSubstr("exec /usr/bin/no-python"));
}

TEST(UnsafeJudgeTest, JudgesWithoutNamespaces) {
  const auto judge = Judge::Create({.limits = {.seconds = 1}, .unsafe = true});
  ASSERT_TRUE(judge.ok()) << judge.status();
  Trial trial = {.program = "def f(): return 1\n",
                 .entry_point = "f",
                 .test = "def check(candidate):\n    assert candidate() == 1\n"};
  EXPECT_EQ(judge->Run(trial).outcome, Outcome::kPassed);
  trial.program = "def f():\n    while True: pass\n";
  EXPECT_EQ(judge->Run(trial).outcome, Outcome::kTimedOut);
  trial.program = "import os\ndef f():\n    open('x', 'w').close()\n    return len(os.listdir())\n";
  EXPECT_EQ(judge->Run(trial).outcome, Outcome::kPassed);
  EXPECT_FALSE(std::filesystem::exists("x"));
}

TEST(UnsafeJudgeTest, WhatGetsAwayKeepsNobodyWaiting) {
  const auto judge = Judge::Create({.limits = {.seconds = 1}, .unsafe = true});
  ASSERT_TRUE(judge.ok()) << judge.status();
  const TemporaryFolder folder;
  const Verdict verdict = judge->Run({.program = absl::StrCat(R"(
import os, time
def f():
    if os.fork() == 0:
        os.setsid()
        end = time.time() + 60
        while time.time() < end and not os.path.exists(")",
                                                              folder.path(), R"(/end"):
            time.sleep(0.01)
        os._exit(0)
    return 1
)"),
                                      .entry_point = "f",
                                      .test = "def check(candidate):\n    candidate()\n"});
  EXPECT_EQ(verdict.outcome, Outcome::kPassed) << verdict.detail;
  EXPECT_LT(verdict.seconds, 30);
  std::ofstream(folder.path() + "/end").flush();
  // A child of this process by now, if it is to be that of all orphans (SandboxTest).
  waitpid(-1, nullptr, 0);
}

}  // namespace
}  // namespace ddpt
