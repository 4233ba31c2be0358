#include "core/text/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <random>

#include "core/base/status.h"
#include "core/text/unicode.h"
#include "tests/core/text/text_testing.h"

namespace ddpt {
namespace {

using nlohmann::json;
using testing::ElementsAre;

void ExpectGoldenIds(const Tokenizer& tokenizer, const std::string& name, bool add_special,
                     size_t count) {
  const std::vector<json> rows = ReadJsonLines(DataPath(name));
  ASSERT_EQ(rows.size(), count);
  for (const json& row : rows) {
    const auto text = row[0].get<std::string>();
    const auto ids = tokenizer.Encode(text, {.add_special = add_special});
    ASSERT_EQ(ids.value(), row[1].get<std::vector<uint32_t>>()) << row[0];
  }
}

TEST(TokenizerGoldenTest, EncodesTenThousandStringsAsThePythonPackage) {
  ExpectGoldenIds(*LoadTokenizer("tokenizer_gpt2"), "tokenizer_gpt2/strings.jsonl", false, 10000);
}

// The files of the GPT-2 golden directory but tokenizer.json and the one named.
void CopySeparateFiles(const std::string& directory, std::string_view but) {
  for (const char* name : {"vocab.json", "merges.txt", "added_tokens.json",
                           "special_tokens_map.json", "tokenizer_config.json"}) {
    if (name == but) continue;
    std::filesystem::copy(DataPath("tokenizer_gpt2/" + std::string(name)), directory);
  }
}

TEST(TokenizerGoldenTest, EncodesTheSameFromSeparateFiles) {
  TempDirectory copy({});
  CopySeparateFiles(copy.path(), "added_tokens.json");
  const auto tokenizer = Tokenizer::Load(copy.path());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  ExpectGoldenIds(**tokenizer, "tokenizer_gpt2/strings.jsonl", false, 10000);
}

TEST(TokenizerTest, ReadsAddedTokensOfOldDirectories) {
  TempDirectory copy({});
  CopySeparateFiles(copy.path(), "tokenizer_config.json");
  const auto loaded = Tokenizer::Load(copy.path());
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const Tokenizer& tokenizer = **loaded;
  const uint32_t mask = *tokenizer.IdOf("<mask>"), foobar = *tokenizer.IdOf("foobar");
  EXPECT_TRUE(tokenizer.is_special(mask));
  EXPECT_FALSE(tokenizer.is_special(foobar));
  EXPECT_EQ(tokenizer.eos_id(), tokenizer.IdOf("<|endoftext|>"));
  EXPECT_THAT(Ids(tokenizer, "  <mask>foobar"), ElementsAre(mask, foobar));
}

TEST(TokenizerGoldenTest, EncodesAsRobertaWithPrefixSpaceAndSpecialTokens) {
  ExpectGoldenIds(*LoadTokenizer("tokenizer_roberta"), "tokenizer_roberta/strings.jsonl", true,
                  500);
}

TEST(TokenizerGoldenTest, DecodesAnyIdsAsThePythonPackage) {
  const auto tokenizer = LoadTokenizer("tokenizer_gpt2");
  const std::vector<json> rows = ReadJsonLines(DataPath("tokenizer_gpt2/decoded.jsonl"));
  ASSERT_EQ(rows.size(), 500u);
  for (const json& row : rows) {
    const auto ids = row[0].get<std::vector<uint32_t>>();
    ASSERT_EQ(tokenizer->Decode(ids), row[1].get<std::string>());
    ASSERT_EQ(tokenizer->Decode(ids, /*skip_special=*/false), row[2].get<std::string>());
  }
}

TEST(TokenizerTest, DecodeUndoesEncode) {
  const auto tokenizer = LoadTokenizer("tokenizer_trained");
  for (const json& row : ReadJsonLines(DataPath("tokenizer_gpt2/strings.jsonl"))) {
    const auto text = row[0].get<std::string>();
    ASSERT_EQ(tokenizer->Decode(Ids(*tokenizer, text), /*skip_special=*/false), text);
  }
}

TEST(TokenizerTest, EncodesRandomBytesAsTheirReplacement) {
  const auto tokenizer = LoadTokenizer("tokenizer_trained");
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(random() % 40, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random() % 3 ? 0x80 | random() : random());
    const std::string text = ReplaceInvalidUtf8(bytes);
    const std::vector<uint32_t> ids = Ids(*tokenizer, bytes);
    ASSERT_EQ(ids, Ids(*tokenizer, text));
    ASSERT_EQ(tokenizer->Decode(ids, /*skip_special=*/false), text);
  }
}

TEST(TokenizerTest, RefusesTextOverTheLimit) {
  const auto tokenizer = LoadTokenizer("tokenizer_trained", {.max_input_bytes = 8});
  EXPECT_TRUE(tokenizer->Encode("12345678").ok());
  const absl::Status status = tokenizer->Encode("123456789", {.field = "instruction"}).status();
  EXPECT_EQ(status.message(), "instruction: 9 bytes are over the limit of 8");
  EXPECT_EQ(FieldOf(status), "instruction");
}

TEST(TokenizerTest, SpacesBecomeTabsAndComeBack) {
  const auto plain = LoadTokenizer("tokenizer_trained");
  const auto tabbed = LoadTokenizer("tokenizer_trained", {.spaces_as_tabs = true});
  const std::string text = "def f():\n        return 1\n   # x     y";
  const std::vector<uint32_t> ids = Ids(*tabbed, text);
  EXPECT_EQ(ids, Ids(*plain, "def f():\n\t\treturn 1\n   # x\t y"));
  EXPECT_EQ(tabbed->Decode(ids), text);
}

TEST(TokenizerTest, PutsSpecialTokensAroundOnlyWhereAsked) {
  const auto roberta = LoadTokenizer("tokenizer_roberta");
  const uint32_t begin = *roberta->IdOf("<s>"), end = *roberta->IdOf("</s>");
  EXPECT_THAT(roberta->Encode("", {.add_special = true}).value(), ElementsAre(begin, end));
  EXPECT_THAT(Ids(*roberta, ""), ElementsAre());
  EXPECT_THAT(Ids(*roberta, "</s>"), ElementsAre(end));
}

TEST(TokenizerTest, KnowsItsVocabulary) {
  const auto tokenizer = LoadTokenizer("tokenizer_gpt2");
  EXPECT_EQ(tokenizer->vocab_size(), 1000u);
  const uint32_t end = tokenizer->IdOf("<|endoftext|>").value();
  EXPECT_EQ(tokenizer->eos_id(), end);
  EXPECT_TRUE(tokenizer->is_special(end));
  EXPECT_FALSE(tokenizer->is_special(*tokenizer->IdOf("foobar")));
  EXPECT_FALSE(tokenizer->is_special(5000));
  EXPECT_EQ(tokenizer->IdOf("no such token"), std::nullopt);
  EXPECT_EQ(tokenizer->TokenBytes(*tokenizer->IdOf("Ġreturn")), " return");
}

TEST(TokenizerTest, HasNoTokenInHolesAndBeyondTheEnd) {
  json vocab = ReadJsonLines(DataPath("tokenizer_trained/vocab.json"))[0];
  vocab["Hole"] = 510;
  TempDirectory files({{"vocab.json", vocab.dump()}, {"merges.txt", ""}});
  const auto tokenizer = Tokenizer::Load(files.path());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ((*tokenizer)->vocab_size(), 511u);
  EXPECT_TRUE((*tokenizer)->HasToken(510));
  EXPECT_FALSE((*tokenizer)->HasToken(509));
  EXPECT_FALSE((*tokenizer)->HasToken(511));
  EXPECT_EQ((*tokenizer)->Decode(std::vector<uint32_t>{509, 510, 511}), "Hole");
  EXPECT_EQ((*tokenizer)->eos_id(), std::nullopt);
}

TEST(TokenizerTest, DecodesAnAddedTokenToItsContent) {
  const json vocab = ReadJsonLines(DataPath("tokenizer_trained/vocab.json"))[0];
  TempDirectory files(
      {{"vocab.json", vocab.dump()}, {"merges.txt", ""}, {"added_tokens.json", R"({"éĠ": 600})"}});
  const auto tokenizer = Tokenizer::Load(files.path());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_THAT(Ids(**tokenizer, "éĠ"), ElementsAre(600));
  EXPECT_EQ((*tokenizer)->Decode(std::vector<uint32_t>{600}), "éĠ");
}

}  // namespace
}  // namespace ddpt
