#include "core/evaluation/problems.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/base/file.h"

namespace ddpt {
namespace {

using testing::HasSubstr;

class ProblemsTest : public testing::Test {
 protected:
  static nlohmann::json Object() {
    return {{"task_id", "one"},
            {"prompt", "def f():\n"},
            {"entry_point", "f"},
            {"test", "def check(c): pass"}};
  }

  void Write(const std::string& text) { ASSERT_TRUE(WriteFileAtomic(path_, text).ok()); }

  // The error of a file of this text.
  std::string Fault(const std::string& text) {
    Write(text);
    return std::string(ReadProblems(path_).status().message());
  }

  std::string path_ = testing::TempDir() + "problems.jsonl";
};

TEST_F(ProblemsTest, ReadsTheFieldsOfHumanEval) {
  nlohmann::json object = Object();
  object["canonical_solution"] = "    return 1\n";
  object["more"] = 5;
  Write(object.dump() + "\n\n");
  const auto problems = ReadProblems(path_);
  ASSERT_TRUE(problems.ok()) << problems.status();
  ASSERT_EQ(problems->size(), 1u);
  const Problem& problem = problems->front();
  EXPECT_EQ(problem.task_id, "one");
  EXPECT_EQ(problem.instruction, "def f():\n");
  EXPECT_EQ(problem.entry_point, "f");
  EXPECT_EQ(problem.canonical_solution, "    return 1\n");
  EXPECT_EQ(ProgramOf(problem, "    return 2"), "def f():\n    return 2\n");
}

TEST_F(ProblemsTest, AnInstructionAndASuffixStandApartFromTheProgram) {
  nlohmann::json object = Object();
  object["instruction"] = "make one";
  object["suffix"] = "g = f\n";
  Write(object.dump());
  const Problem problem = ReadProblems(path_).value().front();
  EXPECT_EQ(problem.instruction, "make one");
  EXPECT_EQ(ProgramOf(problem, "    return 2"), "def f():\n    return 2\ng = f\n");
}

TEST_F(ProblemsTest, FaultsNameFileLineAndField) {
  for (const char* field : {"task_id", "prompt", "entry_point", "test"}) {
    nlohmann::json object = Object();
    object["task_id"] = "two";
    object.erase(field);
    EXPECT_EQ(Fault(Object().dump() + "\n" + object.dump()),
              path_ + " line 2, field '" + field + "': is missing");
    object[field] = 7;
    EXPECT_EQ(Fault(object.dump()), path_ + " line 1, field '" + field + "': is not a string");
  }
}

TEST_F(ProblemsTest, LimitsAreNamed) {
  nlohmann::json object = Object();
  object["test"] = std::string(kMaxTextBytes + 1, 'x');
  EXPECT_THAT(Fault(object.dump()),
              HasSubstr("field 'test': 1048577 bytes are above the limit of 1048576"));
  object = Object();
  object["task_id"] = std::string(257, 'x');
  EXPECT_THAT(Fault(object.dump()),
              HasSubstr("field 'task_id': 257 bytes are above the limit of 256"));
}

TEST_F(ProblemsTest, OtherFaultsAreNamed) {
  EXPECT_THAT(Fault(Object().dump() + "\n" + Object().dump()),
              HasSubstr("line 2, field 'task_id': \"one\" is there twice"));
  EXPECT_THAT(Fault("{\n"), HasSubstr("line 1: is not a JSON object"));
  EXPECT_THAT(Fault("\n\n"), HasSubstr("has no lines"));
  nlohmann::json object = Object();
  object["prompt"] = "";
  EXPECT_THAT(Fault(object.dump()), HasSubstr("field 'prompt': is empty"));
}

TEST_F(ProblemsTest, CompletionsAreOfKnownProblems) {
  Write(R"({"task_id": "one", "completion": "    return 1"})"
        "\n"
        R"({"task_id": "two", "completion": "x"})");
  const Problem one = {
      .task_id = "one", .instruction = {}, .prompt = {}, .entry_point = {}, .test = {}};
  EXPECT_THAT(std::string(ReadCompletions(path_, {one}).status().message()),
              HasSubstr("line 2, field 'task_id': \"two\" is that of no problem"));
  Problem two = one;
  two.task_id = "two";
  const auto completions = ReadCompletions(path_, {one, two});
  ASSERT_TRUE(completions.ok()) << completions.status();
  EXPECT_EQ(completions->at(0).completion, "    return 1");
}

}  // namespace
}  // namespace ddpt
