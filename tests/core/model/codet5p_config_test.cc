#include "core/model/codet5p_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/base/file.h"

namespace ddpt {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;

Json Published() {
  const std::string path = std::string(DDPT_TEST_DATA) + "/codet5p_wide/config.json";
  return Json::parse(ReadFile(path, 1 << 20).value());
}

TEST(Codet5pConfigTest, ReadsThePublicWords) {
  const Codet5pConfig config = ParseCodet5pConfig(Published().dump(), "config.json").value();
  EXPECT_EQ(config.encoder.width, 32);
  EXPECT_EQ(config.decoder.rotary_dim, 8);
  EXPECT_EQ(config.decoder.inner, 4 * 48);
  EXPECT_EQ(config.vocabulary_size, 300);
  EXPECT_EQ(config.max_positions, 640);
  EXPECT_EQ(config.start_token, 279u);
  EXPECT_EQ(config.end_token, 279u);
}

TEST(Codet5pConfigTest, PublishedNameTellsTheHabits) {
  Json json = Published();
  EXPECT_EQ(ParseCodet5pConfig(json.dump(), "config.json")->habits.name, "codet5p");
  json["_name_or_path"] = "Salesforce/instructcodet5p-16b";
  EXPECT_EQ(ParseCodet5pConfig(json.dump(), "config.json")->habits.name, "instructcodet5p");
}

TEST(Codet5pConfigTest, TokensOfTheTopComeFirst) {
  Json json = Published();
  json["decoder_start_token_id"] = 7;
  json["eos_token_id"] = 8;
  const Codet5pConfig config = ParseCodet5pConfig(json.dump(), "config.json").value();
  EXPECT_EQ(config.start_token, 7u);
  EXPECT_EQ(config.end_token, 8u);
}

TEST(Codet5pConfigTest, WritesWhatItReads) {
  const Codet5pConfig config = ParseCodet5pConfig(Published().dump(), "config.json").value();
  const std::string written = Codet5pConfigJson(config);
  EXPECT_EQ(Codet5pConfigJson(ParseCodet5pConfig(written, "again").value()), written);
}

struct Lie {
  const char* name;
  const char* patch;  // merged into the published configuration; null removes
  const char* error;
};

class Codet5pConfigLieTest : public testing::TestWithParam<Lie> {};

TEST_P(Codet5pConfigLieTest, IsRefusedByName) {
  Json json = Published();
  json.merge_patch(Json::parse(GetParam().patch));
  const auto config = ParseCodet5pConfig(json.dump(), "config.json");
  ASSERT_FALSE(config.ok());
  EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(config.status().message()), HasSubstr(GetParam().error));
}

INSTANTIATE_TEST_SUITE_P(
    Lies, Codet5pConfigLieTest,
    testing::Values(
        Lie{"NoEncoder", R"({"encoder": null})", "config.json: encoder: is not an object"},
        Lie{"NoWidth", R"({"decoder": {"n_embd": null}})", "decoder.n_embd: is missing"},
        Lie{"TextWidth", R"({"decoder": {"n_embd": "48"}})",
            "decoder.n_embd: \"48\" is not an int"},
        Lie{"Heads", R"({"encoder": {"n_head": 6}})", "encoder.n_head: 6 is not a multiple of 4"},
        Lie{"Width", R"({"encoder": {"n_embd": 30}})", "encoder.n_embd: 30 is not a multiple"},
        Lie{"HugeWidth", R"({"encoder": {"n_embd": 4611686018427387904}})",
            "encoder.n_embd: 46116"},
        Lie{"NoLayers", R"({"decoder": {"n_layer": 0}})", "decoder.n_layer: 0 is not in 1..1024"},
        Lie{"OddRotary", R"({"decoder": {"rotary_dim": 3}})", "decoder.rotary_dim: 3 is not even"},
        Lie{"WideRotary", R"({"decoder": {"rotary_dim": 14}})", "in 2..12, the width of a head"},
        Lie{"Inner", R"({"decoder": {"n_inner": -1}})", "decoder.n_inner: -1 is not in"},
        Lie{"Epsilon", R"({"encoder": {"layer_norm_epsilon": 0}})",
            "encoder.layer_norm_epsilon: 0"},
        Lie{"Vocabularies", R"({"encoder": {"vocab_size": 301}})",
            "encoder.vocab_size: 301 is not"},
        Lie{"Activation", R"({"encoder": {"activation_function": "relu"}})", "\"relu\": only"},
        Lie{"NoCross", R"({"decoder": {"add_cross_attention": false}})", "add_cross_attention"},
        Lie{"StartOutside", R"({"decoder_start_token_id": 300})", "300 is not in 0..299"},
        Lie{"NoEnd", R"({"decoder": {"eos_token_id": null}})", "eos_token_id: is missing"},
        Lie{"Positions", R"({"encoder": {"n_positions": 0}})", "n_positions: 0 is not in"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(Codet5pConfigTest, TextThatIsNoJsonIsRefused) {
  EXPECT_THAT(std::string(ParseCodet5pConfig("{", "config.json").status().message()),
              HasSubstr("config.json: is not a JSON object"));
}

}  // namespace
}  // namespace ddpt
