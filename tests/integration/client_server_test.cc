#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "client/command_line.h"
#include "client/exit_code.h"
#include "client/load.h"
#include "client/prompt_file.h"
#include "core/evaluation/judge.h"
#include "tests/integration/model_fixture.h"
#include "tests/integration/server_fixture.h"

namespace ddpt {
namespace {

using nlohmann::json;
using testing::HasSubstr;

struct Finished {
  int code;
  std::string out;
  std::string err;
};

// The command line and the load generator against a real server.
class ClientServerTest : public testing::Test {
 protected:
  explicit ClientServerTest(const std::string& model = "none")
      : server_(ConfigOf(directory_.path() + "/state", model)) {
    std::ofstream(file_, std::ios::binary) << DenoiserFile(SmallSpec(), 1);
  }

  static Config ConfigOf(const std::string& state, const std::string& model) {
    Config config = TestConfig(state);
    config.model = model;
    return config;
  }

  Finished Ddpt(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--server", server_.server().address()});
    std::ostringstream out, err;
    const int code = RunCommandLine(std::move(arguments), out, err, /*terminal=*/false);
    return {code, out.str(), err.str()};
  }

  void Import() {
    const Finished outcome = Ddpt({"tasks", "import", "sql", file_});
    ASSERT_EQ(outcome.code, kExitOk) << outcome.err;
  }

  TemporaryDirectory directory_;
  std::string file_ = directory_.path() + "/denoiser.safetensors";
  TestServer server_;
};

TEST_F(ClientServerTest, AnImportedTaskIsListed) {
  Import();
  const json list = json::parse(Ddpt({"tasks", "list", "--json"}).out);
  ASSERT_EQ(list["tasks"].size(), 1u);
  EXPECT_EQ(list["tasks"][0]["task"], "sql");
  EXPECT_EQ(list["tasks"][0]["active_version"], "1");
}

TEST_F(ClientServerTest, AReplayGivesTheBytesOfTheSample) {
  Import();
  const std::string first = directory_.path() + "/first", second = directory_.path() + "/second";
  const Finished sample = Ddpt({"sample", "sql", "--steps", "20", "--out", first});
  ASSERT_EQ(sample.code, kExitOk) << sample.err;
  const std::string id = sample.out.substr(0, sample.out.find('\n'));
  const Finished replay = Ddpt({"sample", "--replay", id, "--require-exact", "--out", second});
  ASSERT_EQ(replay.code, kExitOk) << replay.err;
  EXPECT_EQ(ReadPrompt(first, 0)->data(), ReadPrompt(second, 0)->data());
}

class ClientTrainingTest : public ClientServerTest {
 protected:
  ClientTrainingTest() : ClientServerTest(RandomModel()) {}

  Finished Train(const std::string& data, const std::string& validation_data) {
    const std::string train = directory_.path() + "/train", validate = directory_.path() + "/valid";
    std::ofstream(train) << data;
    std::ofstream(validate) << validation_data;
    return Ddpt({"train", "sql", "--data", train, "--validation-data", validate, "--steps", "1",
                 "--train-steps", "50", "--validation-steps", "50"});
  }
};

TEST_F(ClientTrainingTest, TellsWhatOfTheDataIsUsed) {
  const std::string example = R"({"instruction": "a", "code": "1"})";
  const Finished outcome = Train(example + "\n" + example, R"({"instruction": "a", "code": "2"})");
  ASSERT_EQ(outcome.code, kExitOk) << outcome.err;
  EXPECT_THAT(outcome.out,
              HasSubstr("trains on 1 examples, validates on 1; duplicates left out: 1\n"));
  EXPECT_THAT(outcome.out, HasSubstr("trained on with other code: 1\n"));
}

TEST_F(ClientTrainingTest, TrainingExamplesToValidateOnNameTheField) {
  const std::string example = R"({"instruction": "a", "code": "1"})";
  const Finished outcome = Train(example, example);
  EXPECT_EQ(outcome.code, kExitUsage);
  EXPECT_THAT(outcome.err, HasSubstr("validation_data"));
}

TEST_F(ClientTrainingTest, ProgramsOfTheServerAreRun) {
  if (const auto judge = Judge::Create({}); !judge.ok()) GTEST_SKIP() << judge.status();
  const std::string problems = directory_.path() + "/problems", out = directory_.path() + "/out";
  std::ofstream(problems) << R"({"task_id": "one", "prompt": "def f():\n", "entry_point": "f", )"
                          << R"("test": "def check(candidate):\n    assert candidate() == 1"})";
  // More samples than one call has choices.
  const Finished outcome =
      Ddpt({"evaluate", "--problems", problems, "--samples", "18", "--temperature", "1",
            "--max-new-tokens", "4", "--decoding-seed", "3", "--out", out, "--json"});
  ASSERT_EQ(outcome.code, kExitOk) << outcome.err;
  EXPECT_EQ(json::parse(outcome.out)["samples"], 18);
  std::ifstream lines(out);
  std::set<std::string> completions;
  for (std::string line; std::getline(lines, line);)
    completions.insert(json::parse(line)["completion"]);
  EXPECT_GT(completions.size(), 12u);
}

TEST_F(ClientServerTest, ABadValueNamesItsField) {
  Import();
  const Finished outcome = Ddpt({"sample", "sql", "--steps", "0", "--json"});
  EXPECT_EQ(outcome.code, kExitUsage);
  EXPECT_EQ(json::parse(outcome.err)["error"]["field"], "sampling.steps");
}

TEST_F(ClientServerTest, AnUnknownTaskIsNotFound) {
  EXPECT_EQ(Ddpt({"sample", "nothing"}).code, kExitNotFound);
}

TEST_F(ClientServerTest, VersionsAreChangedByTheirExpectation) {
  Import();
  std::ofstream(file_, std::ios::binary) << DenoiserFile(SmallSpec(), 2);
  Import();
  EXPECT_EQ(Ddpt({"tasks", "promote", "sql", "1", "--expected-version", "1"}).code, kExitConflict);
  EXPECT_EQ(Ddpt({"tasks", "promote", "sql", "1", "--expected-version", "2"}).code, kExitOk);
  const Finished rolled = Ddpt({"tasks", "rollback", "sql", "--json"});
  EXPECT_EQ(json::parse(rolled.out)["active_version"], "2");
  EXPECT_EQ(Ddpt({"tasks", "delete", "sql"}).code, kExitOk);
  EXPECT_EQ(Ddpt({"tasks", "get", "sql"}).code, kExitNotFound);
}

TEST_F(ClientServerTest, LoadFindsEqualBytesAndEqualCounts) {
  Import();
  ASSERT_TRUE(server_.Import("sh", DenoiserFile(SmallSpec(), 2)).ok());
  LoadOptions options;
  options.connection.target = server_.server().address();
  options.tasks = {"sql", "sh"};
  options.steps = {5, 20};
  options.clients = 8;
  options.duration = std::chrono::milliseconds(500);
  options.metrics = server_.server().metrics_address();
  const auto result = RunLoad(options);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_GT(result->ok, 16u);
  EXPECT_EQ(result->failed(), 0u);
  EXPECT_EQ(result->mismatches, 0u);
  EXPECT_EQ(result->server_ok, static_cast<int64_t>(result->ok));
  EXPECT_TRUE(result->counts_agree());
  EXPECT_EQ(result->ok_by_task.at("sql") + result->ok_by_task.at("sh"), result->ok);
}

TEST_F(ClientServerTest, LoadAtARateSendsSoManyRequests) {
  Import();
  LoadOptions options;
  options.connection.target = server_.server().address();
  options.tasks = {"sql"};
  options.clients = 3;
  options.rate = 200;
  options.duration = std::chrono::milliseconds(100);
  const auto result = RunLoad(options);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->ok, 20u);
}

}  // namespace
}  // namespace ddpt
