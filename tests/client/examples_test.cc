#include "client/examples.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <latch>
#include <nlohmann/json.hpp>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"

namespace ddpt {
namespace {

using nlohmann::ordered_json;
using testing::HasSubstr;

class ExamplesTest : public testing::Test {
 protected:
  ExamplesTest() { Write("{\"instruction\": \"0\", \"code\": \"c\"}\n", 8); }

  // `line` once, then `count` - 1 examples numbered from 1.
  void Write(std::string line, int count) {
    for (int i = 1; i < count; ++i) {
      absl::StrAppend(&line, "{\"instruction\": \"", i, "\", \"code\": \"c\"}\n");
    }
    ASSERT_TRUE(WriteFileAtomic(flags_.path, line).ok());
  }

  std::ostringstream out_, err_;
  Session session_{out_, err_};
  ExamplesFlags flags_{.path = testing::TempDir() + "examples_test.jsonl", .concurrency = 8};
};

ordered_json Number(const TrainingExample& example) { return std::stoi(example.instruction); }

TEST_F(ExamplesTest, AnswersAreWrittenInTheOrderOfTheFile) {
  std::latch others(7);
  const auto answer = [&](const TrainingExample& example) -> absl::StatusOr<ordered_json> {
    example.instruction == "0" ? others.wait() : others.count_down();
    return Number(example);
  };
  EXPECT_TRUE(AnswerExamples(flags_, session_, answer).ok());
  EXPECT_EQ(out_.str(), "0\n1\n2\n3\n4\n5\n6\n7\n");
}

TEST_F(ExamplesTest, NoMoreThanWantedAreOnTheirWay) {
  flags_.concurrency = 3;
  std::atomic<int> running{0}, most{0};
  const auto answer = [&](const TrainingExample& example) -> absl::StatusOr<ordered_json> {
    const int now = ++running;
    for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) continue;
    --running;
    return Number(example);
  };
  EXPECT_TRUE(AnswerExamples(flags_, session_, answer).ok());
  EXPECT_LE(most, 3);
}

TEST_F(ExamplesTest, TheFirstErrorEndsIt) {
  const auto answer = [](const TrainingExample& example) -> absl::StatusOr<ordered_json> {
    if (Number(example) >= 2) return absl::NotFoundError("of " + example.instruction);
    return Number(example);
  };
  EXPECT_EQ(AnswerExamples(flags_, session_, answer), absl::NotFoundError("of 2"));
  EXPECT_EQ(out_.str(), "0\n1\n");
}

TEST_F(ExamplesTest, AFaultyLineIsNamed) {
  Write("{\"instruction\": \"0\"}\n", 8);
  const absl::Status status = AnswerExamples(
      flags_, session_, [](const TrainingExample& example) { return Number(example); });
  EXPECT_THAT(std::string(status.message()), HasSubstr("line 1, field 'code'"));
  EXPECT_EQ(out_.str(), "");
}

}  // namespace
}  // namespace ddpt
