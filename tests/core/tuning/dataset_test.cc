#include "core/tuning/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;

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

TEST(DatasetTest, ReadsAttributes) {
  const auto dataset = ParseDataset(
      R"({"instruction": "i", "code": "c", "attributes": {"style": "plain", "lang": "py"}})", {});
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(dataset->examples[0].attributes, (Attributes{{"lang", "py"}, {"style", "plain"}}));
  EXPECT_EQ(ParseDataset(SerializeDataset(*dataset), {})->digest, dataset->digest);
}

TEST(DatasetTest, DigestCoversAttributes) {
  const std::string none = MakeDataset({{"i", "c"}})->digest;
  const std::string plain = MakeDataset({{"i", "c", {{"style", "plain"}}}})->digest;
  EXPECT_NE(none, plain);
  EXPECT_NE(plain, MakeDataset({{"i", "c", {{"style", "typed"}}}})->digest);
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
        Malformed{"AttributesAreList",
                  "{\"instruction\": \"i\", \"code\": \"c\", \"attributes\": [\"s\"]}", "line 1",
                  "'attributes': is array"},
        Malformed{"AttributeIsNumber",
                  "{\"instruction\": \"i\", \"code\": \"c\", \"attributes\": {\"s\": 1}}", "line 1",
                  "'s': is number"},
        Malformed{"NulByte", "{\"instruction\": \"i\\u0000\", \"code\": \"c\"}", "line 1",
                  "'instruction': contains a NUL"},
        Malformed{"InvalidUtf8", "{\"instruction\": \"\xff\", \"code\": \"c\"}", "line 1", "UTF-8"},
        Malformed{"LoneSurrogate", "{\"instruction\": \"\\ud800\", \"code\": \"c\"}", "line 1",
                  "UTF-8"},
        Malformed{"ArrayNotClosed", kGoodIntent, "line 2", "']' is missing"},
        Malformed{"ArrayEndsWithABrace", "[{\"intent\": \"i\", \"snippet\": \"s\"}\n}", "line 2",
                  "'}' where the array ends"},
        Malformed{"LongRecord",
                  "{\"instruction\": \"i\", \"code\": \"c\", \"x\": \"" +
                      std::string(2 << 20, 'x') + "\"}",
                  "line 1", "above the limit of 2097152"},
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

// Instructions "do 0", "do 1", ..., each with the codes "c0", "c1", ... .
Dataset Numbered(int instructions, int codes = 1) {
  std::vector<TrainingExample> examples;
  for (int i = 0; i < instructions; ++i) {
    for (int code = 0; code < codes; ++code) {
      examples.push_back({absl::StrCat("do ", i), absl::StrCat("c", code)});
    }
  }
  return *MakeDataset(std::move(examples));
}

std::vector<std::string> Instructions(const Dataset& dataset,
                                      const std::vector<uint64_t>& indices) {
  std::vector<std::string> instructions;
  for (const uint64_t i : indices) instructions.push_back(dataset.examples[i].instruction);
  return instructions;
}

TEST(DatasetSplitTest, UsesExamplesThatDifferInSurroundingSpaceAndLineEndsOnce) {
  const auto split = SplitDataset(
      *MakeDataset({{"a", "x\n y"}, {"b", "z"}, {" a\n", "x\r\n y\n"}, {"a", "x\ny"}}), 0.1);
  ASSERT_TRUE(split.ok()) << split.status();
  EXPECT_EQ(split->duplicates, 1u);
  std::vector<uint64_t> used = split->train;
  used.insert(used.end(), split->validation.begin(), split->validation.end());
  std::ranges::sort(used);
  EXPECT_THAT(used, ElementsAre(0, 1, 3));
}

TEST(DatasetSplitTest, ExamplesOfOtherAttributesAreNotTheSame) {
  const auto dataset = MakeDataset({{"a", "x", {{"style", "plain"}}},
                                    {"a", "x", {{"style", "typed"}}},
                                    {"a", "x", {{"style", "plain"}}},
                                    {"b", "y"}});
  EXPECT_EQ(SplitDataset(*dataset, 0.5)->duplicates, 1u);
}

TEST(DatasetSplitTest, KeepsAllCodesOfAnInstructionOnOneSide) {
  const Dataset dataset = Numbered(/*instructions=*/200, /*codes=*/3);
  const auto split = SplitDataset(dataset, 0.5);
  ASSERT_TRUE(split.ok()) << split.status();
  EXPECT_EQ(split->train.size() + split->validation.size(), 600u);
  std::set<std::string> all;
  for (const auto* side : {&split->train, &split->validation}) {
    const auto instructions = Instructions(dataset, *side);
    const std::set<std::string> distinct(instructions.begin(), instructions.end());
    EXPECT_EQ(instructions.size(), 3 * distinct.size());
    all.insert(distinct.begin(), distinct.end());
  }
  EXPECT_EQ(all.size(), 200u);
}

TEST(DatasetSplitTest, ValidatesOnAboutTheShare) {
  const auto split = SplitDataset(Numbered(2000), 0.2);
  ASSERT_TRUE(split.ok()) << split.status();
  EXPECT_NEAR(split->validation.size() / 2000.0, 0.2, 0.03);
}

TEST(DatasetSplitTest, ExamplesThatAreAddedLeaveTheOthersWhereTheyAre) {
  const Dataset small = Numbered(100), large = Numbered(1000);
  const auto before = SplitDataset(small, 0.1), after = SplitDataset(large, 0.1);
  ASSERT_TRUE(before.ok() && after.ok());
  EXPECT_THAT(Instructions(large, after->train), IsSupersetOf(Instructions(small, before->train)));
  EXPECT_THAT(Instructions(large, after->validation),
              IsSupersetOf(Instructions(small, before->validation)));
}

TEST(DatasetSplitTest, TheOrderOfTheExamplesDoesNotMatter) {
  const Dataset dataset = Numbered(100);
  Dataset reversed = dataset;
  std::ranges::reverse(reversed.examples);
  EXPECT_EQ(Instructions(dataset, SplitDataset(dataset, 0.3)->validation),
            Instructions(reversed, SplitDataset(reversed, 0.3)->validation));
}

TEST(DatasetSplitTest, IsTheOneOfItsVersion) {
  const Dataset dataset = Numbered(20);
  EXPECT_EQ(kSplitVersion, 1);
  EXPECT_THAT(Instructions(dataset, SplitDataset(dataset, 0.2)->validation),
              ElementsAre("do 0", "do 12", "do 18"));
}

TEST(DatasetSplitTest, EachSideHasAnInstructionHoweverFewThereAre) {
  for (int i = 0; i < 50; ++i) {
    const Dataset dataset =
        *MakeDataset({{absl::StrCat("left ", i), "c"}, {absl::StrCat("right ", i), "c"}});
    for (const double share : {0.01, 0.5}) {
      const auto split = SplitDataset(dataset, share);
      ASSERT_TRUE(split.ok()) << split.status();
      EXPECT_EQ(split->train.size(), 1u);
      EXPECT_EQ(split->validation.size(), 1u);
    }
  }
}

TEST(DatasetSplitTest, OneInstructionCannotBeSplit) {
  const absl::Status status = SplitDataset(*MakeDataset({{"a", "x"}, {"a ", "y"}}), 0.5).status();
  EXPECT_EQ(FieldOf(status), "data") << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("1 instruction"));
}

TEST(DatasetSplitTest, ValidationDataOfOnesOwnAreUsedOnceAndInTheirOrder) {
  const auto split = SplitDataset(*MakeDataset({{"b", "x"}, {"a", "x"}, {"b", "x\n"}}),
                                  *MakeDataset({{"d", "x"}, {"d", "x"}, {"c", "x"}, {"d", "x"}}));
  ASSERT_TRUE(split.ok()) << split.status();
  EXPECT_THAT(split->train, ElementsAre(0, 1));
  EXPECT_THAT(split->validation, ElementsAre(0, 2));
  EXPECT_EQ(split->duplicates, 3u);
  EXPECT_EQ(split->shared_instructions, 0u);
}

TEST(DatasetSplitTest, RefusesTrainingExamplesAmongTheValidationData) {
  const absl::Status status =
      SplitDataset(*MakeDataset({{"a", "x"}, {"b", "y"}, {"c", "z"}}),
                   *MakeDataset({{"d", "x"}, {"b", "y\r\n"}, {"a", "x"}, {"a", "y"}}))
          .status();
  EXPECT_EQ(FieldOf(status), "validation_data") << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("2 training examples"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("example 2"));
}

TEST(DatasetSplitTest, CountsInstructionsThatHaveOtherCodeOnTheOtherSide) {
  const auto split = SplitDataset(*MakeDataset({{"a", "x"}, {"b", "y"}}),
                                  *MakeDataset({{"a", "y"}, {" a", "z"}, {"c", "x"}}));
  ASSERT_TRUE(split.ok()) << split.status();
  EXPECT_EQ(split->shared_instructions, 2u);
  EXPECT_EQ(split->validation.size(), 3u);
}

}  // namespace
}  // namespace ddpt
