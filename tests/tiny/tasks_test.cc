#include "deploy/tiny/tasks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "core/base/digest.h"

namespace ddpt::tiny {
namespace {

using testing::EndsWith;
using testing::StartsWith;

// Of all test splits; the documented figures hold for these bytes.
constexpr char kTestDigest[] = "3d66e015c39434827ccec103450b1a354746cd6df18a2831d005fed4c6e5a37c";

class TasksTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    corpus_ = Corpus::Load(DDPT_TINY_DIR).value();
    tasks_ = TaskSet::Load(corpus_, DDPT_TINY_DIR).value();
  }

  static std::vector<TaskExample> Examples(std::string_view name, Split split) {
    return tasks_->Examples(*tasks_->Find(name), split);
  }

  static inline std::shared_ptr<const Corpus> corpus_;
  static inline std::unique_ptr<TaskSet> tasks_;
};

TEST_F(TasksTest, EveryTaskHasItsExamples) {
  for (const Task& task : tasks_->tasks()) {
    EXPECT_GE(tasks_->Examples(task, Split::kTrain).size(), 1000u) << task.name;
    EXPECT_GE(tasks_->Examples(task, Split::kValidation).size(), 200u) << task.name;
    EXPECT_GE(tasks_->Examples(task, Split::kTest).size(), 300u) << task.name;
  }
}

TEST_F(TasksTest, HasTheTasksThatTheClaimsAreJudgedBy) {
  for (const char* name : {"pyline", "pydef", "js", "sql", "sh", "conv", "mixed", "mix5"}) {
    EXPECT_NE(tasks_->Find(name), nullptr) << name;
  }
  EXPECT_EQ(tasks_->Find("cobol"), nullptr);
}

TEST_F(TasksTest, NoInstructionIsInTwoSplits) {
  std::set<std::string> seen;
  for (const Split split : kSplits) {
    for (const TaskExample& example : Examples("sql", split)) {
      EXPECT_TRUE(seen.insert(example.instruction).second) << example.instruction;
    }
  }
}

TEST_F(TasksTest, SkippedExamplesMakeRoomForAsManyOthers) {
  const std::vector<TaskExample> first = Examples("sql", Split::kTest);
  const std::vector<TaskExample> second =
      tasks_->Examples(*tasks_->Find("sql"), Split::kTest, first.size());
  EXPECT_EQ(second.size(), first.size());
  std::set<std::string> seen;
  for (const TaskExample& example : first) seen.insert(example.instruction);
  for (const TaskExample& example : second) {
    EXPECT_TRUE(seen.insert(example.instruction).second) << example.instruction;
  }
}

TEST_F(TasksTest, TasksDifferInTheirCodeOnly) {
  const auto sql = Examples("sql", Split::kTest);
  const auto shell = Examples("sh", Split::kTest);
  ASSERT_EQ(sql.size(), shell.size());
  for (size_t i = 0; i < sql.size(); ++i) {
    EXPECT_EQ(sql[i].instruction, shell[i].instruction);
    EXPECT_NE(sql[i].code, shell[i].code);
  }
}

TEST_F(TasksTest, TheOracleIsToldInFrontOfTheInstruction) {
  for (const TaskExample& example : Examples("mixed", Split::kTest)) {
    EXPECT_THAT(example.oracle_text, EndsWith(example.instruction));
    EXPECT_THAT(example.shown_text, EndsWith("\n" + example.instruction));
    EXPECT_GT(example.oracle_text.size(), example.instruction.size());
  }
}

TEST_F(TasksTest, ConvKeepsOneChoiceOfEveryConvention) {
  for (const TaskExample& example : Examples("conv", Split::kTest)) {
    EXPECT_THAT(example.code, StartsWith("function "));
    EXPECT_EQ(example.code.find('\''), std::string::npos) << example.code;
    EXPECT_THAT(example.code, EndsWith(" }"));
    EXPECT_EQ(example.code.find("; }"), std::string::npos) << example.code;
  }
}

TEST_F(TasksTest, MixedAsksForSqlWhereTheInstructionIsAboutData) {
  const auto mixed = Examples("mixed", Split::kTest);
  const auto sql = Examples("sql", Split::kTest);
  const auto pydef = Examples("pydef", Split::kTest);
  size_t in_sql = 0;
  for (size_t i = 0; i < mixed.size(); ++i) {
    EXPECT_TRUE(mixed[i].code == sql[i].code || mixed[i].code == pydef[i].code);
    in_sql += mixed[i].code == sql[i].code;
  }
  EXPECT_EQ(in_sql, mixed.size() / 2);
}

TEST_F(TasksTest, TestSplitHasItsDigest) {
  std::string bytes;
  for (const Task& task : tasks_->tasks()) {
    for (const TaskExample& example : tasks_->Examples(task, Split::kTest)) {
      bytes += example.instruction + '\0' + example.code + '\0' + example.oracle_text + '\0';
    }
  }
  EXPECT_EQ(Sha256Hex(bytes), kTestDigest);
}

}  // namespace
}  // namespace ddpt::tiny
