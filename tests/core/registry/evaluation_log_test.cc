#include "core/registry/evaluation_log.h"

#include <chrono>
#include <filesystem>
#include <fstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/registry/temporary_folder.h"

namespace ddpt {
namespace {

namespace fs = std::filesystem;

class EvaluationLogTest : public ::testing::Test {
 protected:
  std::unique_ptr<EvaluationLog> Open(const std::string& key = "k") {
    auto log = EvaluationLog::Open(directory_, key);
    EXPECT_TRUE(log.ok()) << log.status();
    return *std::move(log);
  }

  TemporaryFolder folder_;
  const std::string directory_ = folder_.path() + "/evaluations";
};

TEST_F(EvaluationLogTest, OutcomesAreReadBack) {
  ASSERT_TRUE(Open()->Add({{{0, 7}, {"a\n\"ü\"", 0.1 + 0.2, 5}}, {{31, 0}, {"", 1e-9, 1}}}).ok());
  const auto log = Open();
  ASSERT_EQ(log->outcomes().size(), 2u);
  const EvaluationOutcome& outcome = log->outcomes().at({0, 7});
  EXPECT_EQ(outcome.code, "a\n\"ü\"");
  EXPECT_EQ(outcome.nll, 0.1 + 0.2);
  EXPECT_EQ(outcome.tokens, 5u);
}

TEST_F(EvaluationLogTest, AHalfWrittenLineIsCutOff) {
  ASSERT_TRUE(Open()->Add({{{0, 0}, {"x", 1, 1}}}).ok());
  std::ofstream(directory_ + "/k.jsonl", std::ios::app) << "{\"contender\":0,\"exam";
  auto log = Open();
  EXPECT_EQ(log->outcomes().size(), 1u);
  ASSERT_TRUE(log->Add({{{0, 1}, {"y", 2, 1}}}).ok());
  EXPECT_EQ(Open()->outcomes().size(), 2u);
}

TEST_F(EvaluationLogTest, TheLastSixtyFourAreKept) {
  const auto now = fs::file_time_type::clock::now();
  fs::create_directories(directory_);
  for (int i = 0; i < 80; ++i) {
    const std::string path = directory_ + "/" + std::to_string(i) + ".jsonl";
    std::ofstream(path) << "";
    fs::last_write_time(path, now - std::chrono::hours(i));
  }
  Open();
  EXPECT_EQ(std::distance(fs::directory_iterator(directory_), fs::directory_iterator()), 64);
  EXPECT_TRUE(fs::exists(directory_ + "/62.jsonl"));
  EXPECT_FALSE(fs::exists(directory_ + "/63.jsonl"));
}

TEST_F(EvaluationLogTest, OnesOfLastWeekAreGone) {
  fs::create_directories(directory_);
  const std::string path = directory_ + "/old.jsonl";
  std::ofstream(path) << "";
  fs::last_write_time(path, fs::file_time_type::clock::now() - std::chrono::hours(8 * 24));
  Open();
  EXPECT_FALSE(fs::exists(path));
}

}  // namespace
}  // namespace ddpt
