#include "client/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "client/exit_code.h"
#include "client/prompt_file.h"
#include "core/base/tensor.h"
#include "core/diffusion/denoiser.h"
#include "tests/client/fake_server.h"

namespace ddpt {
namespace {

using nlohmann::json;
using testing::HasSubstr;

struct Outcome {
  int code;
  std::string out;
  std::string err;
};

Outcome Ddpt(std::vector<std::string> arguments) {
  std::ostringstream out, err;
  const int code = RunCommandLine(std::move(arguments), out, err, /*terminal=*/false);
  return {code, out.str(), err.str()};
}

class CommandLineTest : public testing::Test {
 protected:
  CommandLineTest() : server_({&prompts_}) {
    prompts_.embedding.add_shape(1);
    prompts_.embedding.add_shape(2);
    const std::vector<float> values = {1, 2};
    prompts_.embedding.set_data(EncodeElements(values, DataType::kFloat32));
  }

  // Runs a command against the server, once.
  Outcome Call(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--server", server_.address, "--attempts", "1"});
    return Ddpt(std::move(arguments));
  }

  // The exit code of a command that the server answers with `code`.
  int CodeFor(grpc::StatusCode code) {
    prompts_.failures = 1;
    prompts_.failure = {code, "because"};
    return Call({"sample", "sql"}).code;
  }

  FakePrompts prompts_;
  FakeServer server_;
};

TEST_F(CommandLineTest, OutputThatCannotBeWrittenIsAFailure) {
  std::ofstream full("/dev/full");
  std::ostringstream err;
  EXPECT_EQ(RunCommandLine({"sample", "t", "--server", server_.address}, full, err, false),
            ExitCodeOf(absl::ResourceExhaustedError("")));
  EXPECT_THAT(err.str(), HasSubstr("output"));
}

TEST_F(CommandLineTest, ATokenIsTrimmedAndHeldToWhatCanBeSent) {
  EXPECT_EQ(Call({"sample", "t", "--token", "abc\n"}).code, kExitOk);
  const Outcome outcome = Call({"sample", "t", "--token", "a\tb"});
  EXPECT_EQ(outcome.code, kExitUsage);
  EXPECT_THAT(outcome.err, HasSubstr("token"));
}

TEST_F(CommandLineTest, SamplePrintsOneIdALine) {
  const Outcome outcome = Call({"sample", "sql", "--seed", "7"});
  EXPECT_EQ(outcome.code, kExitOk);
  EXPECT_EQ(outcome.out, "p-7\n");
  EXPECT_THAT(outcome.err, HasSubstr("task sql"));
}

TEST_F(CommandLineTest, JsonHasTheFieldNamesOfTheContract) {
  const Outcome outcome = Call({"sample", "sql", "--seed", "7", "--json"});
  const json result = json::parse(outcome.out);
  EXPECT_EQ(result["prompts"][0]["prompt_id"], "p-7");
  EXPECT_EQ(result["receipt"]["task"], "sql");
}

TEST_F(CommandLineTest, SampleWritesTheEmbeddings) {
  const std::string path = testing::TempDir() + "command_line_test.safetensors";
  EXPECT_EQ(Call({"sample", "sql", "--out", path}).code, kExitOk);
  const auto prompt = ReadPrompt(path, 0);
  ASSERT_TRUE(prompt.ok()) << prompt.status();
  EXPECT_EQ(prompt->data(), prompts_.embedding.data());
}

TEST_F(CommandLineTest, ExitCodesTellErrorsApart) {
  EXPECT_EQ(CodeFor(grpc::StatusCode::INTERNAL), kExitFailure);
  EXPECT_EQ(CodeFor(grpc::StatusCode::INVALID_ARGUMENT), kExitUsage);
  EXPECT_EQ(CodeFor(grpc::StatusCode::UNAVAILABLE), kExitUnreachable);
  EXPECT_EQ(CodeFor(grpc::StatusCode::NOT_FOUND), kExitNotFound);
  EXPECT_EQ(CodeFor(grpc::StatusCode::RESOURCE_EXHAUSTED), kExitBusy);
  EXPECT_EQ(CodeFor(grpc::StatusCode::DEADLINE_EXCEEDED), kExitDeadline);
  EXPECT_EQ(CodeFor(grpc::StatusCode::UNAUTHENTICATED), kExitDenied);
  EXPECT_EQ(CodeFor(grpc::StatusCode::ABORTED), kExitConflict);
}

TEST_F(CommandLineTest, ErrorsAreJsonToo) {
  google::rpc::BadRequest detail;
  detail.add_field_violations()->set_field("sampling.steps");
  prompts_.failures = 1;
  prompts_.failure = StatusWith(grpc::StatusCode::INVALID_ARGUMENT, "2001 is too many", detail);
  const Outcome outcome = Call({"sample", "sql", "--json"});
  const json error = json::parse(outcome.err)["error"];
  EXPECT_EQ(error["code"], "INVALID_ARGUMENT");
  EXPECT_EQ(error["field"], "sampling.steps");
  EXPECT_EQ(error["message"], "2001 is too many");
}

TEST_F(CommandLineTest, SaysWhatTheServerDoesNotOffer) {
  const Outcome outcome = Call({"generate", "sort a list", "--task", "sql"});
  EXPECT_EQ(outcome.code, kExitNotOffered);
  EXPECT_THAT(outcome.err, HasSubstr("does not offer this call"));
}

TEST_F(CommandLineTest, TakesTheServerFromTheEnvironment) {
  setenv("DDPT_SERVER", server_.address.c_str(), 1);
  const Outcome outcome = Ddpt({"sample", "sql"});
  unsetenv("DDPT_SERVER");
  EXPECT_EQ(outcome.code, kExitOk) << outcome.err;
}

TEST(CommandLineUsageTest, NobodyThere) {
  const Outcome outcome =
      Ddpt({"sample", "sql", "--server", "127.0.0.1:1", "--attempts", "1", "--timeout", "10"});
  EXPECT_EQ(outcome.code, kExitUnreachable);
  EXPECT_THAT(outcome.err, HasSubstr("127.0.0.1:1"));
}

TEST(CommandLineUsageTest, UnknownFlagsAreErrors) {
  EXPECT_EQ(Ddpt({"sample", "sql", "--stepps", "3"}).code, kExitUsage);
}

TEST(CommandLineUsageTest, UnknownWordsAreErrorsThatListTheKnown) {
  const Outcome outcome = Ddpt({"sample", "sql", "--sampler", "euler"});
  EXPECT_EQ(outcome.code, kExitUsage);
  EXPECT_THAT(outcome.err, HasSubstr("dpm_solver_pp_2m"));
}

TEST(CommandLineUsageTest, AnAttributeHasANameAndAValue) {
  const Outcome outcome = Ddpt({"generate", "x", "--task", "a", "--attribute", "house"});
  EXPECT_EQ(outcome.code, kExitUsage);
  EXPECT_THAT(outcome.err, HasSubstr("house is not NAME=VALUE"));
}

TEST(CommandLineUsageTest, OnePromptAtMost) {
  EXPECT_EQ(Ddpt({"score", "x", "--code", "y", "--task", "a", "--prompt-text", "b"}).code,
            kExitUsage);
}

TEST(CommandLineUsageTest, HelpTellsTheExitCodes) {
  const Outcome outcome = Ddpt({"--help"});
  EXPECT_EQ(outcome.code, kExitOk);
  EXPECT_THAT(outcome.out, HasSubstr("3 server unreachable"));
}

TEST(CommandLineUsageTest, RandomDenoisersAreAFunctionOfTheSeed) {
  const std::string path = testing::TempDir() + "command_line_random.safetensors";
  const std::vector<std::string> command = {"tasks",    "random", path,        "--width", "8",
                                            "--latent", "16",     "--context", "2",       "--seed"};
  const auto digest = [&](const std::string& seed) {
    std::vector<std::string> arguments = command;
    arguments.insert(arguments.end(), {seed, "--json"});
    return json::parse(Ddpt(arguments).out)["denoiser_digest"].get<std::string>();
  };
  const std::string first = digest("1");
  EXPECT_NE(digest("2"), first);
  EXPECT_EQ(digest("1"), first);
  const auto denoiser = Denoiser::Load(path);
  ASSERT_TRUE(denoiser.ok()) << denoiser.status();
  EXPECT_EQ((*denoiser)->digest(), first);
}

TEST(CommandLineUsageTest, BenchSampleReportsItsMeasurement) {
  const Outcome outcome = Ddpt({"bench", "sample", "--width", "80", "--latent", "16", "--steps",
                                "3", "--runs", "2", "--json"});
  ASSERT_EQ(outcome.code, kExitOk) << outcome.err;
  const json report = json::parse(outcome.out);
  EXPECT_EQ(report["runs"], 2);
  EXPECT_LE(report["best_seconds"], report["median_seconds"]);
  EXPECT_GT(report["share_of_peak"], 0);
}

TEST(CommandLineUsageTest, BenchGenerateReportsItsMeasurement) {
  const Outcome outcome = Ddpt({"bench", "generate", "--batch", "2", "--input-tokens", "4",
                                "--output-tokens", "3", "--runs", "2", "--json"});
  ASSERT_EQ(outcome.code, kExitOk) << outcome.err;
  const json result = json::parse(outcome.out);
  EXPECT_EQ(result["runs"], 2);
  EXPECT_EQ(result["output_tokens"], 3);
  EXPECT_GT(result["tokens_per_second"], 0);
  EXPECT_GT(result["share_of_peak"], 0);
}

}  // namespace
}  // namespace ddpt
