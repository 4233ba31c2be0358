#include "core/evaluation/bootstrap.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "core/base/stop_token.h"

namespace ddpt {
namespace {

constexpr size_t kExact = 8;  // exact_match

// `right` of `count` examples are.
std::vector<ExampleCounts> Examples(size_t right, size_t count) {
  const std::vector<std::string> references(count, "return x + 1");
  std::vector<std::string> predictions = references;
  for (size_t i = right; i < count; ++i) predictions[i] = "return y";
  return *CountExamples(predictions, references);
}

std::vector<double> Exact(const std::vector<Figures>& figures) {
  std::vector<double> exact;
  for (const Figures& row : figures) exact.push_back(row[kExact]);
  return exact;
}

TEST(BootstrapTest, ResamplesDependOnTheSeedAlone) {
  const auto examples = Examples(30, 101);
  const auto figures = ResampledFigures(examples, {.resamples = 5, .seed = 7});
  ASSERT_EQ(figures.size(), 5u);
  EXPECT_EQ(figures, ResampledFigures(examples, {.resamples = 5, .seed = 7}));
  EXPECT_EQ(figures[2], ResampledFigures(examples, {.resamples = 3, .seed = 7})[2]);
  EXPECT_NE(figures, ResampledFigures(examples, {.resamples = 5, .seed = 8}));
}

TEST(BootstrapTest, AStopEndsTheResampling) {
  StopSource source;
  source.Cancel();
  EXPECT_TRUE(ResampledFigures(Examples(0, 1), {.stop = source.token()}).empty());
  const std::vector<std::string> codes = {"return x"};
  EXPECT_TRUE(absl::IsCancelled(CountExamples(codes, codes, {.stop = source.token()}).status()));
}

TEST(BootstrapTest, OneExampleIsAlwaysDrawn) {
  const auto examples = Examples(0, 1);
  for (const Figures& figures : ResampledFigures(examples, {.resamples = 3}))
    EXPECT_EQ(figures, FiguresOf(examples[0]));
}

TEST(BootstrapTest, MeansAreOfTheSameDraws) {
  const auto examples = Examples(30, 101);
  std::vector<double> values(101, 0.0);
  std::fill_n(values.begin(), 30, 1.0);
  const ResampleOptions options = {.resamples = 5, .seed = 7};
  EXPECT_EQ(ResampledMeans(values, options), Exact(ResampledFigures(examples, options)));
}

TEST(BootstrapTest, TheIntervalOfAShareIsTheBinomialOne) {
  const auto resampled = ResampledFigures(Examples(100, 400), {.resamples = 4000});
  const Interval interval = PercentileInterval(Exact(resampled));
  const double half = 1.96 * std::sqrt(0.25 * 0.75 / 400);
  EXPECT_NEAR(interval.low, 0.25 - half, 0.005);
  EXPECT_NEAR(interval.high, 0.25 + half, 0.005);
}

TEST(BootstrapTest, AFortiethOfTheValuesGoesOnEachSide) {
  std::vector<double> values(1000);
  std::iota(values.rbegin(), values.rend(), 0);
  const Interval interval = PercentileInterval(values);
  EXPECT_EQ(interval.low, 25);
  EXPECT_EQ(interval.high, 974);
  EXPECT_EQ(PercentileInterval({3}).low, 3);
}

TEST(BootstrapTest, PIsTheShareOfResamplesAsFarFromTheDifference) {
  EXPECT_EQ(PairedPValue(2, std::vector<double>{0, 1, 2, 5}), 3. / 5);
  EXPECT_EQ(PairedPValue(-2, std::vector<double>{-2, -2, -2, -2}), 1. / 5);
}

TEST(BootstrapTest, MethodsThatAreAlikeHaveP1) {
  EXPECT_EQ(PairedPValue(0, std::vector<double>(99, 0.0)), 1);
}

}  // namespace
}  // namespace ddpt
