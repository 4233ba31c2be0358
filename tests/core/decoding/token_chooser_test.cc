#include "core/decoding/token_chooser.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <set>

namespace ddpt {
namespace {

const std::vector<float> kLogits = {std::log(0.1f), std::log(0.4f), std::log(0.3f), std::log(0.2f)};
const std::vector<uint8_t> kAll = {1, 1, 1, 1};

ChosenToken Choose(const DecodingOptions& options, uint32_t choice = 0,
                   const std::vector<uint8_t>& usable = kAll,
                   const std::vector<uint32_t>& answer = {}) {
  std::vector<float> logits = kLogits;
  return ChooseToken(logits, usable, answer, options, choice).value();
}

// How often each token is drawn, over many choices.
std::array<double, 4> Frequencies(const DecodingOptions& options) {
  constexpr int kDraws = 20000;
  std::array<double, 4> share{};
  for (int choice = 0; choice < kDraws; ++choice) {
    share[Choose(options, choice).id] += 1.0 / kDraws;
  }
  return share;
}

void ExpectNear(const std::array<double, 4>& found, const std::array<double, 4>& expected) {
  for (size_t id = 0; id < 4; ++id) EXPECT_NEAR(found[id], expected[id], 0.015) << id;
}

TEST(TokenChooserTest, GreedyTakesTheLikeliest) { EXPECT_EQ(Choose({}).id, 1u); }

TEST(TokenChooserTest, GreedyTiesGoToTheSmallerId) {
  std::vector<float> logits = {0, 2, 2, 1};
  EXPECT_EQ(ChooseToken(logits, kAll, {}, {}, 0).value().id, 1u);
}

TEST(TokenChooserTest, NeverTakesWhatIsNotUsable) {
  EXPECT_EQ(Choose({}, 0, {1, 0, 1, 1}).id, 2u);
  DecodingOptions hot;
  hot.temperature = 10;
  for (uint32_t choice = 0; choice < 100; ++choice) {
    EXPECT_NE(Choose(hot, choice, {1, 0, 1, 1}).id, 1u);
  }
}

TEST(TokenChooserTest, TemperatureOneDrawsFromTheModel) {
  DecodingOptions options;
  options.temperature = 1;
  ExpectNear(Frequencies(options), {0.1, 0.4, 0.3, 0.2});
}

TEST(TokenChooserTest, LowTemperatureSharpens) {
  DecodingOptions options;
  options.temperature = 0.5;  // squares, over 0.3
  ExpectNear(Frequencies(options), {0.01 / 0.3, 0.16 / 0.3, 0.09 / 0.3, 0.04 / 0.3});
}

TEST(TokenChooserTest, TopKKeepsTheLikeliest) {
  DecodingOptions options;
  options.temperature = 1;
  options.top_k = 2;
  ExpectNear(Frequencies(options), {0, 0.4 / 0.7, 0.3 / 0.7, 0});
}

TEST(TokenChooserTest, TopPKeepsTheFewestThatMakeUpTheMass) {
  DecodingOptions options;
  options.temperature = 1;
  options.top_p = 0.75;
  ExpectNear(Frequencies(options), {0, 0.4 / 0.9, 0.3 / 0.9, 0.2 / 0.9});
}

TEST(TokenChooserTest, DrawsAreAFunctionOfSeedChoiceAndPlace) {
  DecodingOptions options, other;
  options.temperature = other.temperature = 10;
  other.seed = 1;
  std::array<std::vector<uint32_t>, 4> draws;
  for (uint32_t place = 0; place < 32; ++place) {
    const std::vector<uint32_t> answer(place, 0);
    draws[0].push_back(Choose(options, 0, kAll, answer).id);
    draws[1].push_back(Choose(options, 0, kAll, answer).id);
    draws[2].push_back(Choose(options, 1, kAll, answer).id);
    draws[3].push_back(Choose(other, 0, kAll, answer).id);
  }
  EXPECT_EQ(draws[0], draws[1]);
  EXPECT_NE(draws[0], draws[2]);
  EXPECT_NE(draws[0], draws[3]);
  EXPECT_GT(std::set<uint32_t>(draws[0].begin(), draws[0].end()).size(), 1u);
}

TEST(TokenChooserTest, PenaltyFallsOnTokensOfTheAnswer) {
  DecodingOptions options;
  options.repetition_penalty = 2;
  EXPECT_EQ(Choose(options, 0, kAll, {1, 1}).id, 2u);
  std::vector<float> positive = {1, 4, 3, 0};
  EXPECT_EQ(ChooseToken(positive, kAll, {1}, options, 0).value().id, 2u);
}

TEST(TokenChooserTest, LogprobIsThatOfTheModel) {
  DecodingOptions options;
  options.logprobs = true;
  options.repetition_penalty = 2;
  EXPECT_NEAR(Choose(options, 0, {1, 0, 1, 1}, {1}).logprob, std::log(0.3), 1e-6);
}

TEST(TokenChooserTest, NanAndNothingLeftAreErrors) {
  std::vector<float> logits = kLogits;
  logits[3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(ChooseToken(logits, kAll, {}, {}, 0).status().code(), absl::StatusCode::kInternal);
  logits = kLogits;
  const std::vector<uint8_t> none(4, 0);
  EXPECT_EQ(ChooseToken(logits, none, {}, {}, 0).status().code(), absl::StatusCode::kInternal);
}

}  // namespace
}  // namespace ddpt
