#include "core/text/tokenizer_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/text/byte_symbols.h"
#include "tests/core/text/text_testing.h"

namespace ddpt {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

// The 256 byte symbols in the order of the bytes, then "ab" (256).
json Vocab() {
  json vocab;
  for (int byte = 0; byte < 256; ++byte) {
    vocab[SymbolsOfBytes(std::string(1, static_cast<char>(byte)))] = byte;
  }
  vocab["ab"] = 256;
  return vocab;
}

json WholeFile() {
  return {{"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
          {"decoder", {{"type", "ByteLevel"}}},
          {"post_processor", nullptr},
          {"model", {{"type", "BPE"}, {"vocab", Vocab()}, {"merges", {"a b"}}}},
          {"added_tokens", {{{"id", 257}, {"content", "<s>"}, {"special", true}}}}};
}

std::string LoadError(const std::map<std::string, std::string>& files) {
  TempDirectory directory(files);
  const auto spec = ReadTokenizerFiles(directory.path());
  if (spec.ok()) return "no error";
  EXPECT_EQ(spec.status().code(), absl::StatusCode::kInvalidArgument) << spec.status();
  const std::string message(spec.status().message());
  EXPECT_THAT(message, StartsWith(directory.path() + "/"));
  return message.substr(directory.path().size() + 1);
}

TEST(TokenizerFilesTest, ReadsTheSmallestWholeFile) {
  TempDirectory directory({{"tokenizer.json", WholeFile().dump()}});
  const auto spec = ReadTokenizerFiles(directory.path());
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->merges.size(), 1u);
  EXPECT_EQ(spec->added.size(), 1u);
}

// A change of one place of the whole file by a JSON patch, and the error it must give.
struct BadJson {
  const char *name, *path, *value, *error;
};

void PrintTo(const BadJson& bad, std::ostream* out) { *out << bad.name; }

class BadTokenizerJsonTest : public testing::TestWithParam<BadJson> {};

TEST_P(BadTokenizerJsonTest, NamesFileAndKey) {
  json file = WholeFile();
  const json patch = {
      {{"op", "add"}, {"path", GetParam().path}, {"value", json::parse(GetParam().value)}}};
  EXPECT_EQ(LoadError({{"tokenizer.json", file.patch(patch).dump()}}),
            "tokenizer.json: " + std::string(GetParam().error));
}

INSTANTIATE_TEST_SUITE_P(
    All, BadTokenizerJsonTest,
    testing::Values(
        BadJson{"ModelType", "/model/type", R"("WordPiece")",
                R"(model.type: "WordPiece" is not supported, only BPE)"},
        BadJson{"Normalizer", "/normalizer", R"({"type": "NFC"})", "normalizer: not supported"},
        BadJson{"NoPreTokenizer", "/pre_tokenizer", "null",
                "pre_tokenizer: missing; must be of type ByteLevel"},
        BadJson{"PreTokenizerType", "/pre_tokenizer/type", R"("Whitespace")",
                R"(pre_tokenizer.type: "Whitespace" is not supported, only ByteLevel)"},
        BadJson{"PrefixSpace", "/pre_tokenizer/add_prefix_space", "1",
                "pre_tokenizer.add_prefix_space: 1 is not a boolean"},
        BadJson{"DecoderType", "/decoder/type", R"("WordPiece")",
                R"(decoder.type: "WordPiece" is not supported, only ByteLevel)"},
        BadJson{"Dropout", "/model/dropout", "0.1", "model.dropout: not supported"},
        BadJson{"Affix", "/model/end_of_word_suffix", R"("</w>")",
                "model.end_of_word_suffix: not supported"},
        BadJson{"ByteFallback", "/model/byte_fallback", "true",
                "model.byte_fallback: true is not supported"},
        BadJson{"IgnoreMerges", "/model/ignore_merges", "true",
                "model.ignore_merges: true is not supported"},
        BadJson{"NoVocab", "/model/vocab", "null", "model.vocab: must be an object"},
        BadJson{"VocabMisses", "/model/vocab", R"({"a": 1})",
                R"(model.vocab: no token for byte 0, "Ā")"},
        BadJson{"IdNegative", "/model/vocab/zz", "-1",
                R"(model.vocab["zz"]: -1 is not a token id)"},
        BadJson{"IdFraction", "/model/vocab/zz", "1.5",
                R"(model.vocab["zz"]: 1.5 is not a token id)"},
        BadJson{"IdHuge", "/model/vocab/zz", "1048576",
                R"(model.vocab["zz"]: id 1048576 is over the limit 1048575)"},
        BadJson{"IdTwice", "/model/vocab/zz", "256",
                R"(model.vocab["zz"]: id 256 is that of "ab" too)"},
        BadJson{"NoMerges", "/model/merges", "null", "model.merges: must be an array"},
        BadJson{"MergeOfOne", "/model/merges/1", R"("ab")", "model.merges[1]: must be two tokens"},
        BadJson{"MergeOfThree", "/model/merges/1", R"(["a", "b", "c"])",
                "model.merges[1]: must be two tokens"},
        BadJson{"MergeNumber", "/model/merges/1", R"(["a", 5])",
                "model.merges[1][1]: 5 is not a string"},
        BadJson{"MergeUnknown", "/model/merges/1", R"(["a", "bb"])",
                R"(model.merges[1]: token "bb" is not in the vocabulary)"},
        BadJson{"MergeResult", "/model/merges/1", R"("b a")",
                R"(model.merges[1]: token "ba" is not in the vocabulary)"},
        BadJson{"AddedNoArray", "/added_tokens", "{}", "added_tokens: {} is not an array"},
        BadJson{"AddedEmpty", "/added_tokens/0/content", R"("")",
                "added_tokens[0]: the token is empty"},
        BadJson{"AddedNoId", "/added_tokens/0/id", "null",
                "added_tokens[0].id: missing; must be a token id"},
        BadJson{"AddedIdTaken", "/added_tokens/0/id", "256",
                R"(added_tokens[0]: id 256 is that of "ab" too)"},
        BadJson{"AddedOtherId", "/added_tokens/0/content", R"("ab")",
                R"(added_tokens[0]: "ab" has id 257 here and 256 in the vocabulary)"},
        BadJson{"AddedTwice", "/added_tokens/1", R"({"id": 258, "content": "<s>"})",
                R"(added_tokens[1]: "<s>" is listed twice)"},
        BadJson{"AddedFlag", "/added_tokens/0/lstrip", R"("yes")",
                R"(added_tokens[0].lstrip: "yes" is not a boolean)"},
        BadJson{"ProcessorType", "/post_processor", R"({"type": "BertProcessing"})",
                R"(post_processor.type: "BertProcessing" is not supported)"},
        BadJson{"RobertaUnknown", "/post_processor",
                R"({"type": "RobertaProcessing", "cls": ["<t>", 257]})",
                R"(post_processor.cls: "<t>" is neither in the vocabulary nor added)"},
        BadJson{"RobertaId", "/post_processor",
                R"({"type": "RobertaProcessing", "cls": ["<s>", 3]})",
                R"(post_processor.cls: "<s>" has id 257)"},
        BadJson{"TemplateWithoutText", "/post_processor",
                R"({"type": "TemplateProcessing", "single": []})",
                "post_processor.single: must hold one Sequence"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(TokenizerFilesTest, ReadsATemplate) {
  json file = WholeFile();
  file["post_processor"] = json::parse(R"({"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "B", "type_id": 0}}, {"Sequence": {"id": "A"}},
                 {"SpecialToken": {"id": "E", "type_id": 0}}],
      "special_tokens": {"B": {"id": "B", "ids": [257], "tokens": ["<s>"]},
                         "E": {"id": "E", "ids": [256, 257], "tokens": ["ab", "<s>"]}}})");
  TempDirectory directory({{"tokenizer.json", file.dump()}});
  const auto spec = ReadTokenizerFiles(directory.path());
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_THAT(spec->prefix, ElementsAre(257));
  EXPECT_THAT(spec->suffix, ElementsAre(256, 257));
}

TEST(TokenizerFilesTest, RefusesWhatIsNoJson) {
  EXPECT_EQ(LoadError({{"tokenizer.json", "{\"model\": "}}), "tokenizer.json: not valid JSON");
  EXPECT_EQ(LoadError({{"tokenizer.json", "[]"}}), "tokenizer.json: [] is not an object");
  EXPECT_EQ(LoadError({{"vocab.json", "{\"\xFF\": 1}"}}), "vocab.json: not valid JSON");
  EXPECT_EQ(LoadError({{"tokenizer.json", std::string(100000, '[')}}),
            "tokenizer.json: not valid JSON");
}

TEST(TokenizerFilesTest, RefusesAnEmptyDirectory) {
  TempDirectory directory({});
  const auto spec = ReadTokenizerFiles(directory.path());
  EXPECT_EQ(spec.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(spec.status().message()),
              HasSubstr("holds neither tokenizer.json nor vocab.json"));
}

TEST(TokenizerFilesTest, RefusesAVocabularyWithoutMerges) {
  TempDirectory directory({{"vocab.json", Vocab().dump()}});
  const auto spec = ReadTokenizerFiles(directory.path());
  EXPECT_EQ(spec.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(spec.status().message()), HasSubstr("merges.txt"));
}

TEST(TokenizerFilesTest, NamesTheLineOfABadMerge) {
  const std::string vocab = Vocab().dump();
  EXPECT_EQ(LoadError({{"vocab.json", vocab}, {"merges.txt", "#version: 0.2\r\na b\r\nab\r\n"}}),
            "merges.txt: line 3: must be two tokens");
  EXPECT_EQ(LoadError({{"vocab.json", vocab}, {"merges.txt", "a b\nb a"}}),
            "merges.txt: line 2: token \"ba\" is not in the vocabulary");
}

// The separate files with one more.
std::string SeparateError(const std::string& name, const std::string& content) {
  return LoadError({{"vocab.json", Vocab().dump()}, {"merges.txt", "a b\n"}, {name, content}});
}

TEST(TokenizerFilesTest, RefusesBadAddedTokens) {
  EXPECT_EQ(SeparateError("added_tokens.json", R"({"<s>": "x"})"),
            R"(added_tokens.json: ["<s>"]: "x" is not a token id)");
  EXPECT_EQ(SeparateError("added_tokens.json", R"({"<s>": 256})"),
            R"(added_tokens.json: ["<s>"]: id 256 is that of "ab" too)");
}

TEST(TokenizerFilesTest, RefusesBadSpecialTokens) {
  EXPECT_EQ(SeparateError("special_tokens_map.json", R"({"eos_token": "</s>"})"),
            R"(special_tokens_map.json: eos_token: "</s>" is neither in the vocabulary nor added)");
  EXPECT_EQ(SeparateError("special_tokens_map.json", R"({"additional_special_tokens": [7]})"),
            "special_tokens_map.json: additional_special_tokens[0]: 7 is not a string");
}

TEST(TokenizerFilesTest, RefusesABadConfig) {
  EXPECT_EQ(SeparateError("tokenizer_config.json", R"({"tokenizer_class": "RobertaTokenizer"})"),
            "tokenizer_config.json: cls_token: missing; must be a string");
  EXPECT_EQ(SeparateError("tokenizer_config.json", R"({"added_tokens_decoder": {"x": "<s>"}})"),
            R"(tokenizer_config.json: added_tokens_decoder["x"]: the key is not a token id)");
  EXPECT_EQ(SeparateError("tokenizer_config.json",
                          R"({"added_tokens_decoder": {"300": "<s>", "301": "<s>"}})"),
            R"(tokenizer_config.json: added_tokens_decoder["301"]: "<s>" is listed twice)");
}

TEST(TokenizerFilesTest, RobertaClassPutsTokensAroundATextOfSeparateFiles) {
  TempDirectory directory(
      {{"vocab.json", Vocab().dump()},
       {"merges.txt", "a b\n"},
       {"added_tokens.json", R"({"<s>": 300, "</s>": 301})"},
       {"tokenizer_config.json",
        R"({"tokenizer_class": "RobertaTokenizer", "cls_token": "<s>", "sep_token": "</s>"})"}});
  const auto spec = ReadTokenizerFiles(directory.path());
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_THAT(spec->prefix, ElementsAre(300));
  EXPECT_THAT(spec->suffix, ElementsAre(301));
}

}  // namespace
}  // namespace ddpt
