#include "client/scatter_plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ddpt {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using Style = PointGroup::Style;

std::string Render(std::vector<PointGroup::Point> points, Style style = Style::kDots) {
  return RenderScatterPlot({.title = "Map",
                            .groups = {{"group", style, std::move(points)}},
                            .width = 232,
                            .height = 132});
}

TEST(ScatterPlotTest, BothDirectionsHaveOneScale) {
  // 200 x 100 pixels within the margin; the range of y decides.
  EXPECT_THAT(Render({{0, 0, "a"}, {1, 1, "b"}}),
              AllOf(HasSubstr("cx=\"66.0\" cy=\"16.0\""), HasSubstr("cx=\"166.0\" cy=\"116.0\"")));
}

TEST(ScatterPlotTest, OnePointLiesInTheMiddle) {
  EXPECT_THAT(Render({{7, -3, "a"}}), HasSubstr("cx=\"116.0\" cy=\"66.0\""));
}

TEST(ScatterPlotTest, PointsTellTheirLabels) {
  EXPECT_THAT(Render({{0, 0, "<a>"}}), HasSubstr("<title>&lt;a&gt;</title>"));
}

TEST(ScatterPlotTest, OnlyNamedPointsAreLabelled) {
  EXPECT_THAT(Render({{0, 0, "a"}}), Not(HasSubstr("<text")));
  EXPECT_THAT(Render({{0, 0, "<a>"}}, Style::kNamed), HasSubstr(">&lt;a&gt;</text>"));
}

TEST(ScatterPlotTest, ALabelThatHasNoRoomIsLeftOut) {
  const std::string plot =
      Render({{0, 0, "one"}, {0, 0.01, "two"}, {0, 1, "three"}}, Style::kNamed);
  EXPECT_THAT(plot, AllOf(HasSubstr(">one</text>"), HasSubstr(">three</text>"),
                          Not(HasSubstr(">two</text>"))));
}

TEST(ScatterPlotTest, FaintGroupsLeaveTheColoursToOthers) {
  const std::string plot =
      RenderScatterPlot({.title = "Map",
                         .groups = {{"vocabulary", Style::kFaint, {{0, 0, "a"}}},
                                    {"prompts", Style::kDots, {{1, 1, "b"}}}}});
  EXPECT_THAT(plot, AllOf(HasSubstr("class=\"c2 faint\""), HasSubstr("<circle class=\"c0\""),
                          HasSubstr("<span class=\"key dot c0\">prompts</span>")));
}

TEST(ScatterPlotTest, NoPointNoPlot) { EXPECT_EQ(Render({}), ""); }

}  // namespace
}  // namespace ddpt
