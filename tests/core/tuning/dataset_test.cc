#include "core/tuning/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/status.h"

namespace ddpt {
namespace {

using ::testing::HasSubstr;

TEST(DatasetTest, ReadsConalaAndPrefersTheRewrittenIntent) {
  const auto dataset = ParseDataset(
      R"([{"intent": "a", "rewritten_intent": "b", "snippet": "x"},
          {"intent": "c", "rewritten_intent": null, "snippet": "y"}])",
      {});
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  ASSERT_EQ(dataset->examples.size(), 2u);
  EXPECT_EQ(dataset->examples[0].instruction, "b");
  EXPECT_EQ(dataset->examples[1].instruction, "c");
}

TEST(DatasetTest, ReadsCodeAlpacaAndAppendsTheInput) {
  const auto dataset =
      ParseDataset(R"([{"instruction": "add", "input": "1, 2", "output": "3"}])", {});
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(dataset->examples[0].instruction, "add\n1, 2");
}

TEST(DatasetTest, ReadsJsonLinesWithNamedFields) {
  const DatasetFormat format{
      .kind = DatasetFormat::Kind::kJsonLines, .instruction_field = "q", .code_field = "a"};
  const auto dataset =
      ParseDataset("{\"q\": \"one\", \"a\": \"1\"}\n\n{\"q\": \"two\", \"a\": \"2\"}", format);
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(dataset->examples[1].code, "2");
}

TEST(DatasetTest, DigestIsOfTheExamplesNotOfTheFile) {
  const auto lines = ParseDataset("{\"instruction\": \"i\", \"code\": \"c\"}", {});
  const auto array = ParseDataset("[ {\"instruction\":\"i\",\n\"output\":\"c\"} ]", {});
  ASSERT_TRUE(lines.ok() && array.ok());
  EXPECT_EQ(lines->digest, array->digest);
  EXPECT_EQ(ParseDataset(SerializeDataset(*lines), {})->digest, lines->digest);
  EXPECT_NE(MakeDataset({{"i", "d"}})->digest, lines->digest);
}

TEST(DatasetTest, DigestSeparatesTheTexts) {
  EXPECT_NE(MakeDataset({{"ab", "c"}})->digest, MakeDataset({{"a", "bc"}})->digest);
}

struct Malformed {
  const char* name;
  std::string bytes;
  const char* line;
  const char* field;
};

class MalformedDatasetTest : public ::testing::TestWithParam<Malformed> {};

TEST_P(MalformedDatasetTest, IsRefusedWithLineAndField) {
  const auto dataset = ParseDataset(GetParam().bytes, {});
  ASSERT_FALSE(dataset.ok());
  EXPECT_EQ(dataset.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(FieldOf(dataset.status()), "data");
  EXPECT_THAT(std::string(dataset.status().message()), HasSubstr(GetParam().line));
  EXPECT_THAT(std::string(dataset.status().message()), HasSubstr(GetParam().field));
}

const std::string kGoodLine = "{\"instruction\": \"i\", \"code\": \"c\"}\n";
const std::string kGoodIntent = "[{\"intent\": \"i\", \"snippet\": \"s\"},\n";
const std::string kGoodAlpaca = "[{\"instruction\": \"i\", \"output\": \"o\"},\n";

INSTANTIATE_TEST_SUITE_P(
    All, MalformedDatasetTest,
    ::testing::Values(
        Malformed{"Empty", "", "no examples", "at least 1"},
        Malformed{"Blank", " \n \n", "no examples", "at least 1"},
        Malformed{"EmptyArray", "[]", "no examples", "at least 1"},
        Malformed{"NotJson", "hello", "line 1", "JSON"},
        Malformed{"CutLine", kGoodLine + "{\"instruction\": \"i\", \"co", "line 2", "JSON"},
        Malformed{"LineIsArray", kGoodLine + "[1]", "line 2", "not an object"},
        Malformed{"LineIsNumber", kGoodLine + "7", "line 2", "not an object"},
        Malformed{"LineIsNull", kGoodLine + "null", "line 2", "not an object"},
        Malformed{"TwoObjectsInALine", kGoodLine + "{} {}", "line 2", "JSON"},
        Malformed{"MissingInstruction", kGoodLine + "{\"code\": \"c\"}", "line 2",
                  "'instruction': is missing"},
        Malformed{"MissingCode", kGoodLine + "{\"instruction\": \"c\"}", "line 2",
                  "'code': is missing"},
        Malformed{"InstructionIsNumber", "{\"instruction\": 1, \"code\": \"c\"}", "line 1",
                  "'instruction': is number"},
        Malformed{"CodeIsNull", "{\"instruction\": \"i\", \"code\": null}", "line 1",
                  "'code': is null"},
        Malformed{"CodeIsList", "{\"instruction\": \"i\", \"code\": [\"c\"]}", "line 1",
                  "'code': is array"},
        Malformed{"CodeIsBoolean", "{\"instruction\": \"i\", \"code\": true}", "line 1",
                  "'code': is boolean"},
        Malformed{"EmptyInstruction", "{\"instruction\": \"\", \"code\": \"c\"}", "line 1",
                  "'instruction': is empty"},
        Malformed{"BlankCode", "\n\n{\"instruction\": \"i\", \"code\": \" \\n\"}", "line 3",
                  "'code': is empty"},
        Malformed{"LongInstruction",
                  "{\"instruction\": \"" + std::string(65'537, 'x') + "\", \"code\": \"c\"}",
                  "line 1", "'instruction': 65537 bytes exceed the limit of 65536"},
        Malformed{"LongCode",
                  "{\"instruction\": \"i\", \"code\": \"" + std::string(65'537, 'x') + "\"}",
                  "line 1", "'code': 65537 bytes"},
        Malformed{"NulByte", "{\"instruction\": \"i\\u0000\", \"code\": \"c\"}", "line 1",
                  "'instruction': contains a NUL"},
        Malformed{"InvalidUtf8", "{\"instruction\": \"\xff\", \"code\": \"c\"}", "line 1", "UTF-8"},
        Malformed{"LoneSurrogate", "{\"instruction\": \"\\ud800\", \"code\": \"c\"}", "line 1",
                  "UTF-8"},
        Malformed{"ArrayNotClosed", kGoodIntent, "line 2", "']' is missing"},
        Malformed{"TrailingComma", "[{\"intent\": \"i\", \"snippet\": \"s\"},\n]", "line 2",
                  "missing"},
        Malformed{"DoubleComma", kGoodIntent + ",{}]", "line 2", "missing"},
        Malformed{"TextAfterArray", kGoodIntent + "{\"intent\": \"i\", \"snippet\": \"s\"}]\nx",
                  "line 3", "after"},
        Malformed{"ElementIsString", kGoodIntent + "\"x\"]", "line", "not an object"},
        Malformed{"ConalaWithoutSnippet", kGoodIntent + "{\"intent\": \"i\"}]", "line 2",
                  "'snippet': is missing"},
        Malformed{"ConalaWithoutIntent", kGoodIntent + "{\"snippet\": \"i\"}]", "line 2",
                  "'intent': is missing"},
        Malformed{"ConalaEmptySnippet", kGoodIntent + "{\"intent\": \"i\", \"snippet\": \"\"}]",
                  "line 2", "'snippet': is empty"},
        Malformed{"AlpacaWithoutOutput", kGoodAlpaca + "{\"instruction\": \"i\"}]", "line 2",
                  "'output': is missing"},
        Malformed{"AlpacaInputIsNumber",
                  kGoodAlpaca + "{\"instruction\": \"i\", \"input\": 3, \"output\": \"o\"}]",
                  "line 2", "'input': is number"},
        Malformed{"BracesDoNotMatch", kGoodAlpaca + "{\"instruction\": \"i\"]", "line 2",
                  "']' is missing"}),
    [](const auto& info) { return info.param.name; });

TEST(DatasetTest, RefusesAnArrayFormatForLines) {
  const auto dataset = ParseDataset(kGoodLine, {.kind = DatasetFormat::Kind::kConala});
  EXPECT_THAT(std::string(dataset.status().message()), HasSubstr("a JSON array is expected"));
}

TEST(DatasetTest, MakeDatasetNamesTheExample) {
  EXPECT_THAT(std::string(MakeDataset({{"i", "c"}, {"i", ""}}).status().message()),
              HasSubstr("line 2, field 'code': is empty"));
}

}  // namespace
}  // namespace ddpt
