#include "server/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "core/base/file.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

using testing::HasSubstr;

Environment Variables(const std::map<std::string, std::string>& values) {
  return [values](const std::string& name) -> std::optional<std::string> {
    const auto found = values.find(name);
    if (found == values.end()) return std::nullopt;
    return found->second;
  };
}

// The path of a configuration file with this text.
std::string ConfigFile(const std::string& text) {
  const std::string path = testing::TempDir() + "ddpt_config_test.conf";
  EXPECT_TRUE(WriteFileAtomic(path, text).ok());
  return path;
}

std::string ErrorOf(const std::vector<std::string>& arguments) {
  const auto line = ParseCommandLine(arguments, Variables({}));
  return line.ok() ? "" : std::string(line.status().message());
}

TEST(ConfigTest, UnknownHabitsAndDtypesAreRefusedWithThoseThatThereAre) {
  EXPECT_THAT(ErrorOf({"--habits", "gpt"}),
              HasSubstr("habits: \"gpt\" is none of auto, t5, codet5p"));
  EXPECT_THAT(ErrorOf({"--dtype", "int4"}),
              HasSubstr("dtype: \"int4\" is none of auto, float32, bfloat16, float16, int8"));
}

TEST(ConfigTest, TracesGoToAnAddressOrNowhere) {
  EXPECT_EQ(ParseCommandLine({}, Variables({}))->config.otlp_endpoint, "");
  const auto line = ParseCommandLine({}, Variables({{"DDPT_OTLP_ENDPOINT", "collector:4317"}}));
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->config.otlp_endpoint, "collector:4317");
  EXPECT_THAT(
      std::string(ParseCommandLine({"--otlp-endpoint", "x"}, Variables({})).status().message()),
      HasSubstr("otlp-endpoint"));
}

TEST(ConfigTest, DefaultsAreValid) {
  const auto line = ParseCommandLine({}, Variables({}));
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->config.listen, "127.0.0.1:50051");
  EXPECT_EQ(line->config.metrics_listen, "127.0.0.1:9464");
}

TEST(ConfigTest, FileIsBelowEnvironmentIsBelowFlag) {
  const std::string file = ConfigFile("threads = 1\nmax-count = 11\nengine-cache = 21\n");
  const auto line = ParseCommandLine({"--config", file, "--threads", "3"},
                                     Variables({{"DDPT_THREADS", "2"}, {"DDPT_MAX_COUNT", "12"}}));
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->config.threads, 3u);
  EXPECT_EQ(line->config.max_count, 12u);
  EXPECT_EQ(line->config.engine_cache, 21u);
}

TEST(ConfigTest, FileIsFoundByVariable) {
  const std::string file = ConfigFile("# a comment\nlisten = \"127.0.0.1:0\"\n");
  const auto line = ParseCommandLine({}, Variables({{"DDPT_CONFIG", file}}));
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->config.listen, "127.0.0.1:0");
}

TEST(ConfigTest, ListsComeFromEverySource) {
  const std::string file = ConfigFile("import-task = [\"a=1.bin\", \"b=2.bin\"]\n");
  const auto from_file = ParseCommandLine({"--config", file}, Variables({}));
  ASSERT_TRUE(from_file.ok()) << from_file.status();
  ASSERT_EQ(from_file->config.import_tasks.size(), 2u);
  EXPECT_EQ(from_file->config.import_tasks[1].path, "2.bin");

  const auto from_variable =
      ParseCommandLine({}, Variables({{"DDPT_IMPORT_TASK", "a=1.bin,b=2.bin"}}));
  ASSERT_EQ(from_variable->config.import_tasks.size(), 2u);
  const auto from_flags =
      ParseCommandLine({"--import-task", "a=1.bin", "--import-task", "b=2.bin"}, Variables({}));
  ASSERT_EQ(from_flags->config.import_tasks.size(), 2u);
  EXPECT_EQ(from_flags->config.import_tasks[0].task, "a");
}

TEST(ConfigTest, UnknownKeyOfFileNamesFileAndLine) {
  const std::string file = ConfigFile("threads = 1\nthraeds = 2\n");
  const std::string error = ErrorOf({"--config", file});
  EXPECT_THAT(error, HasSubstr(file + " line 2"));
  EXPECT_THAT(error, HasSubstr("thraeds"));
}

TEST(ConfigTest, KeyGivenTwiceIsAnError) {
  EXPECT_THAT(ErrorOf({"--config", ConfigFile("threads = 1\nthreads = 2\n")}), HasSubstr("twice"));
}

TEST(ConfigTest, UnknownFlagIsAnError) {
  EXPECT_THAT(ErrorOf({"--thraeds", "2"}), HasSubstr("thraeds"));
}

TEST(ConfigTest, OutOfRangeNamesSettingValueAndLimit) {
  const std::string error = ErrorOf({"--threads", "257"});
  EXPECT_THAT(error, HasSubstr("command line: threads: 257 is outside 0..256"));
}

TEST(ConfigTest, BadValueNamesItsSource) {
  const auto line = ParseCommandLine({}, Variables({{"DDPT_DRAIN_TIMEOUT", "soon"}}));
  EXPECT_THAT(std::string(line.status().message()),
              HasSubstr("environment: drain-timeout: \"soon\""));
}

TEST(ConfigTest, BadAddressIsAnError) {
  EXPECT_THAT(ErrorOf({"--listen", "localhost"}), HasSubstr("HOST:PORT"));
  EXPECT_THAT(ErrorOf({"--listen", "localhost:65536"}), HasSubstr("0..65535"));
}

TEST(ConfigTest, BadDeviceIsAnError) {
  EXPECT_THAT(ErrorOf({"--device", "gpu"}), HasSubstr("auto, cpu, cuda:N"));
}

TEST(ConfigTest, ABadDatabaseIsAnErrorThatDoesNotTellThePassword) {
  for (const char* url : {"mysql://u:secret@h/d", "postgresql://u:secret@[::1/d"}) {
    const std::string error = ErrorOf({"--database", url});
    EXPECT_THAT(error, HasSubstr("database: "));
    EXPECT_THAT(error, testing::Not(HasSubstr("secret")));
  }
}

TEST(ConfigTest, AJobLeaseIsLongEnoughToBeRenewed) {
  EXPECT_THAT(ErrorOf({"--job-lease", "500ms"}), HasSubstr("job-lease: 500 ms is below 1s"));
}

TEST(ConfigTest, CertificateNeedsKey) {
  EXPECT_THAT(ErrorOf({"--tls-cert", "a.pem"}), HasSubstr("tls-key"));
}

TEST(ConfigTest, APublicAddressNeedsTlsOrAWord) {
  const std::string error = ErrorOf({"--listen", "0.0.0.0:50051"});
  EXPECT_THAT(error, HasSubstr("listen: 0.0.0.0:50051 can be reached from other machines"));
  EXPECT_THAT(error, HasSubstr("tls-cert and tls-key"));
  EXPECT_THAT(error, HasSubstr("allow-insecure"));
  EXPECT_THAT(ErrorOf({"--listen", "[::]:0"}), HasSubstr("[::]:0"));
  EXPECT_EQ(ErrorOf({"--listen", "0.0.0.0:50051", "--allow-insecure"}), "");
  EXPECT_EQ(ErrorOf({"--listen", "0.0.0.0:50051", "--tls-cert", "c.pem", "--tls-key", "k.pem"}),
            "");
}

TEST(ConfigTest, ASwitchIsTrueOrFalseWhereItHasAValue) {
  const std::string file = ConfigFile("listen = 0.0.0.0:0\nallow-insecure = true\n");
  EXPECT_TRUE(ParseCommandLine({"--config", file}, Variables({}))->config.allow_insecure);
  const auto off = ParseCommandLine({}, Variables({{"DDPT_ALLOW_INSECURE", "false"}}));
  EXPECT_FALSE(off->config.allow_insecure);
  const auto odd = ParseCommandLine({}, Variables({{"DDPT_ALLOW_INSECURE", "perhaps"}}));
  EXPECT_THAT(std::string(odd.status().message()), HasSubstr("allow-insecure: \"perhaps\""));
}

TEST(ConfigTest, CheckAndHelp) {
  EXPECT_TRUE(ParseCommandLine({"--check"}, Variables({}))->check);
  const auto help = ParseCommandLine({"--help"}, Variables({}));
  ASSERT_TRUE(help->text.has_value());
  EXPECT_THAT(*help->text, HasSubstr("DDPT_DRAIN_TIMEOUT"));
}

}  // namespace
}  // namespace ddpt
