#include "core/diffusion/prompt_id.h"

#include <random>

#include "core/base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ddpt {
namespace {

using ::testing::MatchesRegex;

PromptRecipe Recipe() {
  PromptRecipe recipe;
  recipe.task = "sql-1";
  recipe.denoiser_digest = std::string("\x00\xff", 2) + "0123456789abcd";
  recipe.seed = 0xfedcba9876543210;
  recipe.draw = 7;
  recipe.options = {
      .sampler = Sampler::kAncestral, .steps = 50, .eta = 0.25, .guidance_scale = 2.5};
  recipe.attributes = {{"language", "python"}, {"style", ""}};
  recipe.condition_digest = "fedcba9876543210";
  recipe.arithmetic_class = "fp32-cpu";
  recipe.checksum = 0xdeadbeef;
  return recipe;
}

TEST(PromptIdTest, RoundTripKeepsEveryField) {
  const PromptRecipe recipe = Recipe();
  const PromptRecipe decoded = DecodePromptId(*EncodePromptId(recipe)).value();
  EXPECT_EQ(decoded.task, recipe.task);
  EXPECT_EQ(decoded.denoiser_digest, recipe.denoiser_digest);
  EXPECT_EQ(decoded.seed, recipe.seed);
  EXPECT_EQ(decoded.draw, recipe.draw);
  EXPECT_EQ(decoded.options.sampler, recipe.options.sampler);
  EXPECT_EQ(decoded.options.steps, recipe.options.steps);
  EXPECT_EQ(decoded.options.eta, recipe.options.eta);
  EXPECT_EQ(decoded.options.guidance_scale, recipe.options.guidance_scale);
  EXPECT_EQ(decoded.full_space_noise, recipe.full_space_noise);
  EXPECT_EQ(decoded.attributes, recipe.attributes);
  EXPECT_EQ(decoded.condition_digest, recipe.condition_digest);
  EXPECT_EQ(decoded.arithmetic_class, recipe.arithmetic_class);
  EXPECT_EQ(decoded.checksum, recipe.checksum);
}

TEST(PromptIdTest, IsUrlSafe) {
  EXPECT_THAT(*EncodePromptId(Recipe()), MatchesRegex("dp1_[A-Za-z0-9_-]+"));
}

TEST(PromptIdTest, TheLargestRecipeFits) {
  PromptRecipe recipe = Recipe();
  recipe.task = std::string(63, 'a');
  recipe.arithmetic_class = std::string(32, 'b');
  recipe.attributes.clear();
  for (char c = 'a'; c < 'a' + 16; ++c) recipe.attributes[std::string(60, c)] = "1234";
  const auto id = EncodePromptId(recipe);
  EXPECT_LE(id->size(), 2048);
  EXPECT_EQ(DecodePromptId(*id)->attributes, recipe.attributes);
}

TEST(PromptIdTest, RefusesRecipesOutOfBounds) {
  std::vector<PromptRecipe> bad(9, Recipe());
  bad[0].task = "Has-Capitals";
  bad[1].task = std::string(64, 'a');
  bad[2].denoiser_digest = "short";
  bad[3].options.steps = 10001;
  bad[4].options.eta = 1.01;
  bad[5].attributes["key"] = std::string(62, 'v');
  for (int i = 0; i < 16; ++i) bad[6].attributes[std::to_string(i)] = "";
  bad[7].condition_digest = "x";
  bad[8].arithmetic_class = "";
  for (const PromptRecipe& recipe : bad) {
    EXPECT_EQ(FieldOf(EncodePromptId(recipe).status()), "prompt_id");
  }
}

TEST(PromptIdTest, RefusesForeignTexts) {
  for (const char* text : {"", "dp1_", "dp2_AAAA", "hello", "dp1_AAAA", "dp1_!!!!", "dp1_A"}) {
    EXPECT_EQ(FieldOf(DecodePromptId(text).status()), "prompt_id") << text;
  }
}

TEST(PromptIdTest, RefusesLongTextsBeforeDecoding) {
  const absl::Status status = DecodePromptId("dp1_" + std::string(1 << 20, 'A')).status();
  EXPECT_EQ(FieldOf(status), "prompt_id");
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("the limit is 2048"));
}

TEST(PromptIdTest, RefusesEveryCut) {
  const std::string id = *EncodePromptId(Recipe());
  for (size_t length = 0; length < id.size(); ++length) {
    EXPECT_FALSE(DecodePromptId(id.substr(0, length)).ok()) << length;
  }
}

TEST(PromptIdTest, RefusesAThousandMutations) {
  const std::string alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const std::string id = *EncodePromptId(Recipe());
  std::mt19937 random(1);
  for (int i = 0; i < 1000; ++i) {
    std::string mutated = id;
    for (size_t count = 1 + random() % 4; count > 0; --count) {
      const size_t position = random() % mutated.size();
      const char letter = alphabet[random() % alphabet.size()];
      switch (random() % 3) {
        case 0:
          mutated[position] = letter;
          break;
        case 1:
          mutated.insert(position, 1, letter);
          break;
        default:
          mutated.erase(position, 1);
      }
    }
    if (mutated == id) continue;
    EXPECT_EQ(FieldOf(DecodePromptId(mutated).status()), "prompt_id") << mutated;
  }
}

// Padding and spaces decode to the same bytes, but one recipe has one text.
TEST(PromptIdTest, RefusesOtherSpellingsOfTheSameBytes) {
  const std::string id = *EncodePromptId(Recipe());
  for (const char* tail : {"=", "==", " ", "\n"}) {
    EXPECT_FALSE(DecodePromptId(id + tail).ok());
  }
}

}  // namespace
}  // namespace ddpt
