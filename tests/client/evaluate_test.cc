#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "client/command_line.h"
#include "client/exit_code.h"
#include "core/base/file.h"

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

  // `ddpt evaluate`; its exit code.
  int Run(std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"evaluate",   "--json",       "--predictions",
                                          predictions_, "--references", references_};
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
