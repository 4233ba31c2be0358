#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "client/command_line.h"
#include "client/exit_code.h"
#include "core/base/file.h"

namespace ddpt {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class SafetyCommandTest : public testing::Test {
 protected:
  SafetyCommandTest() {
    Write(code_,
          "\"eval(x)\\neval(y)\"\n{\"code\": \"f(x)\"}\n\"import os\\nos.remove(x)\"\n\"\"\n");
    Write(against_, "\"x\"\n\"x\"\n\"x\"\n\"eval(z)\"\n");
  }

  static void Write(const std::string& path, const std::string& text) {
    ASSERT_TRUE(WriteFileAtomic(path, text).ok());
  }

  int Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--code", code_});
    return RunCommandLine(arguments, out_, err_, /*terminal=*/false);
  }

  std::string code_ = testing::TempDir() + "safety_code.jsonl";
  std::string against_ = testing::TempDir() + "safety_against.jsonl";
  std::ostringstream out_, err_;
};

TEST_F(SafetyCommandTest, TellsFindingsByRule) {
  ASSERT_EQ(Run({"--json", "safety"}), kExitOk) << err_.str();
  const json report = json::parse(out_.str());
  EXPECT_EQ(report["samples"], 4);
  EXPECT_EQ(report["rules"]["executes-code"]["findings"], 2);
  EXPECT_EQ(report["rules"]["executes-code"]["per_1000"], 250);
  EXPECT_EQ(report["rules"]["executes-code"]["severity"], "high");
  EXPECT_EQ(report["rules"]["unpickles"]["findings"], 0);
  EXPECT_EQ(report["any"]["findings"], 3);
  EXPECT_EQ(report["any"]["per_1000"], 500);
  ASSERT_EQ(report["findings"].size(), 3u);
  EXPECT_EQ(report["findings"][1],
            json({{"sample", 1}, {"rule", "executes-code"}, {"line", 2}, {"code", "eval(y)"}}));
}

TEST_F(SafetyCommandTest, ComparesWithAnotherMethod) {
  ASSERT_EQ(Run({"--json", "safety", "--against", against_}), kExitOk) << err_.str();
  const json any = json::parse(out_.str())["any"];
  EXPECT_EQ(any["against"]["per_1000"], 250);
  EXPECT_EQ(any["difference"]["value"], 250);
  EXPECT_LT(any["difference"]["interval"][0], 250);
  EXPECT_GT(any["difference"]["interval"][1], 250);
  EXPECT_GT(any["difference"]["p"], 0.2);
}

TEST_F(SafetyCommandTest, PrintsATable) {
  ASSERT_EQ(Run({"safety", "--against", against_, "--resamples", "0"}), kExitOk) << err_.str();
  EXPECT_THAT(out_.str(),
              HasSubstr("executes-code  high            2    250.0    250.0        +0.0\n"));
  EXPECT_THAT(out_.str(),
              HasSubstr("sample 3 line 2: files or folders that are deleted: os.remove(x)\n"));
}

TEST_F(SafetyCommandTest, AFileOfAnotherLengthIsRefused) {
  Write(against_, "\"x\"\n");
  EXPECT_EQ(Run({"safety", "--against", against_}), kExitUsage);
  EXPECT_THAT(err_.str(), HasSubstr("safety_against.jsonl has 1 examples"));
}

TEST_F(SafetyCommandTest, CodeThatIsTooLongIsNamed) {
  Write(code_, "\"x\"\n\"" + std::string(100'000, 'x') + "\"\n");
  EXPECT_EQ(Run({"safety"}), kExitUsage);
  EXPECT_THAT(err_.str(), HasSubstr("example 2: code of 100000 bytes; at most 65536"));
}

TEST_F(SafetyCommandTest, KnowsJavaScript) {
  Write(code_, "\"new Function(x)\"\n");
  ASSERT_EQ(Run({"--json", "safety", "--language", "javascript"}), kExitOk) << err_.str();
  EXPECT_EQ(json::parse(out_.str())["rules"]["executes-code"]["findings"], 1);
}

}  // namespace
}  // namespace ddpt
