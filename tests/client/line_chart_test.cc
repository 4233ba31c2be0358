#include "client/line_chart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "absl/strings/str_split.h"

namespace ddpt {
namespace {

using testing::AllOf;
using testing::DoubleEq;
using testing::HasSubstr;
using testing::Not;
using testing::Pointwise;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

using Points = std::vector<std::pair<double, double>>;

std::string Render(Points points, Curve::Style style = Curve::Style::kLine) {
  return RenderLineChart({.title = "Loss, nats",
                          .x_label = "step",
                          .curves = {{"training", style, std::move(points)}}});
}

size_t Count(const std::string& text, const std::string& piece) {
  return std::vector<std::string>(absl::StrSplit(text, piece)).size() - 1;
}

// The path of the first curve.
std::string PathOf(const std::string& chart) {
  const std::string begin = "<path class=\"c0\" d=\"";
  const size_t at = chart.find(begin);
  if (at == std::string::npos) return "no path";
  const size_t from = at + begin.size();
  return chart.substr(from, chart.find('"', from) - from);
}

TEST(AxisTicksTest, AreRoundAndCoverTheRange) {
  EXPECT_THAT(AxisTicks(0, 4.75, 5), Pointwise(DoubleEq(), {0.0, 1.0, 2.0, 3.0, 4.0, 5.0}));
  EXPECT_THAT(AxisTicks(-0.3, 1.1, 4), Pointwise(DoubleEq(), {-0.5, 0.0, 0.5, 1.0, 1.5}));
}

TEST(AxisTicksTest, EndWithTheRangeWhereThatIsRound) {
  EXPECT_THAT(AxisTicks(0, 0.001, 5),
              Pointwise(DoubleEq(), {0.0, 0.0002, 0.0004, 0.0006, 0.0008, 0.001}));
  EXPECT_THAT(AxisTicks(0, 300, 3), Pointwise(DoubleEq(), {0.0, 100.0, 200.0, 300.0}));
}

TEST(AxisTicksTest, FollowTheScale) {
  EXPECT_THAT(AxisTicks(2e-7, 9e-7, 4), Pointwise(DoubleEq(), {2e-7, 4e-7, 6e-7, 8e-7, 1e-6}));
  EXPECT_THAT(AxisTicks(0, 1e6, 2), Pointwise(DoubleEq(), {0.0, 5e5, 1e6}));
}

TEST(LineChartTest, TheRangeOfTheDataFillsTheAxes) {
  // The plotted area of a chart of 490 x 230 goes from (58, 10) to (462, 188).
  EXPECT_EQ(PathOf(Render({{0, 0}, {50, 2}, {100, 4}})), "M58.0,188.0L260.0,99.0L462.0,10.0");
}

TEST(LineChartTest, TheXAxisRunsToItsEnd) {
  const std::string chart =
      RenderLineChart({.x_end = 100, .curves = {{.label = "", .points = {{0, 0}, {50, 4}}}}});
  EXPECT_EQ(PathOf(chart), "M58.0,188.0L260.0,10.0");
}

TEST(LineChartTest, TicksAreLabelled) {
  const std::string chart = Render({{0, 0}, {20'000, 0.001}});
  EXPECT_THAT(chart, HasSubstr(">5,000</text>"));
  EXPECT_THAT(chart, HasSubstr(">0.0004</text>"));
}

TEST(LineChartTest, TicksOfTheXAxisAreWhole) {
  const std::string chart = Render({{1, 5}, {2, 5}});
  EXPECT_THAT(chart, AllOf(HasSubstr(">1</text>"), HasSubstr(">2</text>")));
  EXPECT_THAT(chart, Not(HasSubstr(">0.5</text>")));
}

TEST(LineChartTest, VerySmallTicksAreLabelledByExponent) {
  EXPECT_THAT(Render({{0, 0}, {1, 1e-9}}), HasSubstr(">4e-10</text>"));
}

TEST(LineChartTest, AConstantLiesInTheMiddle) {
  EXPECT_EQ(PathOf(Render({{0, 2}, {1, 2}})), "M58.0,99.0L462.0,99.0");
  EXPECT_EQ(PathOf(Render({{0, -2}, {1, -2}})), "M58.0,99.0L462.0,99.0");
}

TEST(LineChartTest, NothingButZeroLiesOnTheAxis) {
  EXPECT_EQ(PathOf(Render({{0, 0}, {1, 0}})), "M58.0,188.0L462.0,188.0");
}

TEST(LineChartTest, TheYAxisStartsAtZero) {
  EXPECT_THAT(Render({{0, 9}, {1, 10}}), HasSubstr(">0</text>"));
}

TEST(LineChartTest, TheYAxisFollowsValuesFarFromZeroWhereWanted) {
  const auto low = [](double low) {
    return RenderLineChart(
        {.curves = {{.label = "", .points = {{1, low}, {2, 10}}}}, .from_zero = false});
  };
  EXPECT_THAT(low(9), AllOf(HasSubstr(">9.0</text>"), Not(HasSubstr(">0.0</text>"))));
  EXPECT_THAT(low(4), HasSubstr(" y=\"192.0\">0</text>"));
}

TEST(LineChartTest, ALonePointIsMarked) {
  EXPECT_EQ(Count(Render({{5, 2}}), "<circle"), 1u);
  EXPECT_EQ(Count(Render({{0, 1}, {5, 2}}), "<circle"), 0u);
}

TEST(LineChartTest, ALonePointAtZeroIsMarked) {
  EXPECT_THAT(Render({{0, 0}}), HasSubstr("cx=\"58.0\" cy=\"188.0\""));
}

TEST(LineChartTest, MarksTellTheirValue) {
  const std::string chart = Render({{50, 0.25}, {100, 0.5}}, Curve::Style::kMarked);
  EXPECT_THAT(chart, HasSubstr("<title>training at 50: 0.25</title>"));
  EXPECT_EQ(Count(chart, "<circle"), 2u);
}

TEST(LineChartTest, ALogarithmicAxisIsDividedByPowersOfTen) {
  const std::string chart =
      RenderLineChart({.x_end = 100,
                       .curves = {{.label = "", .points = {{0, 1}, {1, 0}, {10, 2}, {100, 4}}}},
                       .log_x = true});
  EXPECT_EQ(PathOf(chart), "M58.0,188.0L260.0,99.0L462.0,10.0");
  for (const char* tick : {">1</text>", ">10</text>", ">100</text>"}) {
    EXPECT_THAT(chart, HasSubstr(tick));
  }
}

TEST(LineChartTest, ValuesThatAreNotFiniteBreakTheLine) {
  const std::string chart =
      Render({{0, 0}, {1, 1}, {2, kNan}, {3, 3}, {4, 4}, {5, -kInfinity}, {6, 0}, {7, 4}});
  EXPECT_EQ(Count(PathOf(chart), "M"), 3u);
  EXPECT_THAT(chart, Not(HasSubstr("nan")));
  EXPECT_THAT(chart, Not(HasSubstr("inf")));
}

TEST(LineChartTest, HugeValuesAreLeftOut) {
  EXPECT_EQ(PathOf(Render({{0, 0}, {1, 4}, {2, 1e308}})), "M58.0,188.0L462.0,10.0");
}

TEST(LineChartTest, NoPointNoChart) {
  EXPECT_EQ(Render({}), "");
  EXPECT_EQ(Render({{0, kNan}, {1, kInfinity}}), "");
}

TEST(LineChartTest, SeveralCurvesHaveAKey) {
  LineChart chart{
      .title = "Loss", .x_label = "step", .curves = {{"a", Curve::Style::kLine, {{0, 1}, {1, 2}}}}};
  EXPECT_EQ(Count(RenderLineChart(chart), "class=\"key"), 0u);
  chart.curves.push_back({"b", Curve::Style::kDashed, {{0, 1}, {1, 2}}});
  EXPECT_EQ(Count(RenderLineChart(chart), "class=\"key"), 2u);
}

TEST(LineChartTest, TextsAreEscaped) {
  const std::string chart = RenderLineChart({.title = "<t>",
                                             .x_label = "<x>",
                                             .curves = {{"<c>", Curve::Style::kMarked, {{0, 1}}},
                                                        {"<d>", Curve::Style::kLine, {{0, 1}}}}});
  for (const char* piece : {"<t>", "<x>", "<c>", "<d>"}) EXPECT_THAT(chart, Not(HasSubstr(piece)));
  EXPECT_THAT(chart, HasSubstr("&lt;c&gt;"));
}

}  // namespace
}  // namespace ddpt
