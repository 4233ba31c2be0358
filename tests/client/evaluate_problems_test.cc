#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "client/command_line.h"
#include "client/exit_code.h"
#include "core/base/file.h"
#include "core/evaluation/judge.h"

namespace ddpt {
namespace {

using nlohmann::json;
using testing::HasSubstr;

// `ddpt evaluate --problems` on files.
class EvaluateProblemsTest : public testing::Test {
 protected:
  void SetUp() override {
    static const absl::StatusOr<Judge> judge = Judge::Create({});
    if (!judge.ok()) GTEST_SKIP() << judge.status();
    Write(
        problems_,
        R"({"task_id": "one", "prompt": "def f():\n", "entry_point": "f", "test": "def check(c):\n    assert c() == 1"}
{"task_id": "two", "prompt": "def g():\n", "entry_point": "g", "test": "def check(c):\n    assert c() == 2"}
)");
    Write(completions_, Lines({{"one", "    return 1"},
                               {"one", "    return 3"},
                               {"two", "    return 0"},
                               {"two", "    return g("}}));
  }

  static void Write(const std::string& path, const std::string& text) {
    ASSERT_TRUE(WriteFileAtomic(path, text).ok());
  }

  static std::string Lines(const std::vector<std::pair<std::string, std::string>>& completions) {
    std::string lines;
    for (const auto& [task_id, completion] : completions)
      lines += json{{"task_id", task_id}, {"completion", completion}}.dump() + "\n";
    return lines;
  }

  int Run(std::vector<std::string> more) {
    more.insert(more.begin(), {"evaluate", "--problems", problems_, "--completions", completions_});
    return RunCommandLine(more, out_, err_, /*terminal=*/false);
  }

  std::string problems_ = testing::TempDir() + "pass_problems.jsonl";
  std::string completions_ = testing::TempDir() + "completions.jsonl";
  std::ostringstream out_, err_;
};

TEST_F(EvaluateProblemsTest, TellsPassAtKWithIntervals) {
  ASSERT_EQ(Run({"--json", "--k", "1", "2"}), kExitOk) << err_.str();
  const json report = json::parse(out_.str());
  EXPECT_EQ(report["pass@1"], 0.25);
  EXPECT_EQ(report["pass@2"], 0.5);
  EXPECT_EQ(report["problems"], 2);
  EXPECT_EQ(report["samples"], 4);
  EXPECT_EQ(report["outcomes"], json({{"passed", 1}, {"failed", 3}}));
  EXPECT_EQ(report["intervals"]["pass@1"], json({0.0, 0.5}));
  EXPECT_GT(report["programs_per_second"], 0);
}

TEST_F(EvaluateProblemsTest, ComparesWithAnotherMethod) {
  const std::string others = testing::TempDir() + "other_completions.jsonl";
  Write(others, Lines({{"one", "    return 1"}, {"two", "    return 2"}}));
  ASSERT_EQ(Run({"--json", "--against", others}), kExitOk) << err_.str();
  const json report = json::parse(out_.str());
  EXPECT_EQ(report["against"]["pass@1"], 1);
  EXPECT_EQ(report["difference"]["pass@1"]["value"], -0.75);
}

TEST_F(EvaluateProblemsTest, PrintsATable) {
  ASSERT_EQ(Run({}), kExitOk) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("pass@1          0.2500   0.0000 .. 0.5000"));
  EXPECT_THAT(out_.str(), HasSubstr("2 problems, 4 samples: 1 passed, 3 failed; "));
}

TEST_F(EvaluateProblemsTest, WritesWhatCameOfEachSample) {
  const std::string path = testing::TempDir() + "judged.jsonl";
  ASSERT_EQ(Run({"--out", path}), kExitOk) << err_.str();
  std::istringstream lines(*ReadFile(path, 1 << 20));
  std::string first, second;
  std::getline(lines, first);
  std::getline(lines, second);
  EXPECT_EQ(json::parse(first)["outcome"], "passed");
  EXPECT_EQ(json::parse(second)["completion"], "    return 3");
  EXPECT_THAT(json::parse(second)["detail"], HasSubstr("assert c() == 1"));
}

TEST_F(EvaluateProblemsTest, KAboveTheSamplesIsRefused) {
  EXPECT_EQ(Run({"--k", "3"}), kExitUsage);
  EXPECT_THAT(err_.str(), HasSubstr("pass@3 needs as many samples: problem \"one\" has 2"));
}

TEST_F(EvaluateProblemsTest, FlagsOfTheOtherKindAreRefused) {
  EXPECT_EQ(Run({"--predictions", completions_, "--references", completions_}), kExitUsage);
  EXPECT_EQ(Run({"--samples", "3"}), kExitUsage);
  EXPECT_EQ(RunCommandLine({"evaluate"}, out_, err_, false), kExitUsage);
  EXPECT_THAT(err_.str(), HasSubstr("--predictions and --references, --data, or --problems"));
}

}  // namespace
}  // namespace ddpt
