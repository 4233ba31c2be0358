#include "core/model/t5_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace ddpt {
namespace {

using testing::HasSubstr;

const T5Config kConfig = {.width = 24,
                          .head_width = 8,
                          .heads = 4,
                          .inner = 40,
                          .encoder_layers = 2,
                          .decoder_layers = 3,
                          .vocabulary_size = 300,
                          .end_token = 2};

std::string Problem(const char* key, const nlohmann::json& value) {
  nlohmann::json json = nlohmann::json::parse(T5ConfigJson(kConfig));
  json[key] = value;
  const auto config = ParseT5Config(json.dump(), "config.json");
  return config.ok() ? "accepted" : std::string(config.status().message());
}

TEST(T5ConfigTest, ReadsWhatItWrites) {
  for (const bool flag : {false, true}) {
    T5Config config = kConfig;
    config.gated = config.tied = flag;
    const auto read = ParseT5Config(T5ConfigJson(config), "config.json");
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(T5ConfigJson(*read), T5ConfigJson(config));
  }
}

TEST(T5ConfigTest, DefaultsAreThoseOfThePublicCode) {
  const auto config = ParseT5Config(
      R"({"d_model": 24, "d_kv": 8, "num_heads": 4, "d_ff": 40, "num_layers": 2, "vocab_size": 300,
          "decoder_start_token_id": 0, "eos_token_id": 2})",
      "config.json");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->decoder_layers, 2);
  EXPECT_EQ(config->buckets, 32);
  EXPECT_EQ(config->max_distance, 128);
  EXPECT_EQ(config->max_positions, 512);
  EXPECT_EQ(config->epsilon, 1e-6);
  EXPECT_FALSE(config->gated);
  EXPECT_TRUE(config->tied);
}

TEST(T5ConfigTest, FaultsNameKeyValueAndLimit) {
  EXPECT_THAT(Problem("d_model", nullptr), HasSubstr("config.json: d_model: is missing"));
  EXPECT_THAT(Problem("d_ff", "x"), HasSubstr("d_ff: \"x\" is not an integer"));
  EXPECT_THAT(Problem("num_heads", 0), HasSubstr("num_heads: 0 is not in 1..1024"));
  EXPECT_THAT(Problem("vocab_size", 1), HasSubstr("eos_token_id: 2 is not in 0..0"));
  EXPECT_THAT(Problem("eos_token_id", 300), HasSubstr("eos_token_id: 300 is not in 0..299"));
  EXPECT_THAT(Problem("relative_attention_num_buckets", 7),
              HasSubstr("relative_attention_num_buckets: 7 is not even and in 4..4096"));
  EXPECT_THAT(Problem("relative_attention_max_distance", 16),
              HasSubstr("relative_attention_max_distance: 16 is not in 17.."));
  EXPECT_THAT(Problem("feed_forward_proj", "gated-silu"),
              HasSubstr("\"gated-silu\" is not one of \"relu\", \"gated-gelu\""));
  EXPECT_THAT(Problem("tie_word_embeddings", 1), HasSubstr("is neither true nor false"));
}

TEST(T5ConfigTest, AHeadOfItsOwnIsAWeight) {
  T5Config config = kConfig;
  EXPECT_FALSE(T5TensorShapes(config).contains("lm_head.weight"));
  EXPECT_TRUE(IsIgnoredT5Tensor(config, "lm_head.weight"));
  config.tied = false;
  EXPECT_TRUE(T5TensorShapes(config).contains("lm_head.weight"));
  EXPECT_FALSE(IsIgnoredT5Tensor(config, "lm_head.weight"));
}

}  // namespace
}  // namespace ddpt
