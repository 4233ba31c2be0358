#include "core/decoding/token_chooser.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <set>
#include <tuple>

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

// Few different values, so that there are ties, at lengths that do and do not fill whole stretches.
TEST(TokenChooserTest, GreedyIsTheFirstOfTheLargestUsable) {
  std::mt19937 random(1);
  for (size_t size = 1; size < 100; ++size) {
    std::vector<float> logits(size);
    std::vector<uint8_t> usable(size);
    for (float& logit : logits) logit = static_cast<float>(random() % 9) - 4;
    for (uint8_t& each : usable) each = random() % 4 > 0;
    usable[random() % size] = 1;
    size_t expected = size;
    for (size_t id = 0; id < size; ++id) {
      if (usable[id] && (expected == size || logits[id] > logits[expected])) expected = id;
    }
    const std::vector<float> before = logits;
    EXPECT_EQ(ChooseToken(logits, usable, {}, {}, 0).value().id, expected);
    EXPECT_EQ(logits, before);
  }
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

// The probabilities that the options leave, from the definitions.
std::vector<double> Expected(const std::vector<float>& logits, const std::vector<uint8_t>& usable,
                             const DecodingOptions& options) {
  std::vector<double> p(logits.size());
  for (size_t id = 0; id < p.size(); ++id) {
    p[id] = usable[id] ? std::exp(logits[id] / options.temperature) : 0;
  }
  const auto normalize = [&p] {
    const double total = std::accumulate(p.begin(), p.end(), 0.0);
    for (double& each : p) each /= total;
  };
  std::vector<size_t> order(p.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&p](size_t a, size_t b) { return p[a] > p[b]; });
  for (size_t rank = options.top_k; options.top_k > 0 && rank < p.size(); ++rank)
    p[order[rank]] = 0;
  normalize();
  double mass = 0;
  for (const size_t id : order) {
    const double share = p[id];
    if (mass >= options.top_p) p[id] = 0;
    mass += share;
  }
  normalize();
  return p;
}

// Pearson's chi-square over 100,000 draws at many places of many choices; what is rarer than 20 of
// them is one class. Four standard deviations above the mean of the distribution.
TEST(TokenChooserTest, DrawsPassTheChiSquareTestAgainstTheSoftmax) {
  std::mt19937 random(7);
  std::vector<float> logits(48);
  for (float& logit : logits)
    logit = static_cast<float>(std::normal_distribution(0.0, 2.0)(random));
  std::vector<uint8_t> usable(logits.size(), 1);
  usable[3] = usable[40] = 0;
  for (const auto& [temperature, top_k, top_p] : {std::tuple(1.0, 0u, 1.0),
                                                  {0.6, 0u, 1.0},
                                                  {2.5, 0u, 1.0},
                                                  {1.3, 12u, 1.0},
                                                  {1.0, 0u, 0.9},
                                                  {1.5, 20u, 0.8}}) {
    DecodingOptions options;
    options.temperature = temperature;
    options.top_k = top_k;
    options.top_p = top_p;
    options.seed = 11;
    constexpr int kChoices = 2000, kPlaces = 50;
    std::vector<double> drawn(logits.size());
    for (int choice = 0; choice < kChoices; ++choice) {
      std::vector<uint32_t> answer;
      for (int place = 0; place < kPlaces; ++place) {
        std::vector<float> copy = logits;
        answer.push_back(ChooseToken(copy, usable, answer, options, choice).value().id);
        ++drawn[answer.back()];
      }
    }
    const std::vector<double> expected = Expected(logits, usable, options);
    double chi_square = 0, rare_drawn = 0, rare_expected = 0;
    int classes = 0;
    const auto add = [&](double found, double wanted) {
      chi_square += (found - wanted) * (found - wanted) / wanted;
      ++classes;
    };
    for (size_t id = 0; id < drawn.size(); ++id) {
      const double wanted = expected[id] * kChoices * kPlaces;
      if (wanted == 0) {
        EXPECT_EQ(drawn[id], 0) << id;
      } else if (wanted < 20) {
        rare_drawn += drawn[id];
        rare_expected += wanted;
      } else {
        add(drawn[id], wanted);
      }
    }
    if (rare_expected >= 5) add(rare_drawn, rare_expected);
    const double degrees = classes - 1;
    EXPECT_LT(chi_square, degrees + 4 * std::sqrt(2 * degrees)) << temperature << " " << top_k;
  }
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
