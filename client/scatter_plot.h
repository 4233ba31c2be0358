#pragma once

#include <string>
#include <vector>

namespace ddpt {

// Points of one kind in a ScatterPlot.
struct PointGroup {
  enum class Style {
    kFaint,  // small, behind all others
    kDots,
    kNamed,  // with their labels beside them, as far as there is room
  };
  struct Point {
    double x, y;
    std::string label;  // also told when pointed at
  };
  std::string label;
  Style style = Style::kDots;
  std::vector<Point> points = {};
};

// Points of the plane to one scale in both directions and without axes, for maps that have none.
struct ScatterPlot {
  std::string title;
  std::vector<PointGroup> groups;  // later ones lie on top; two at most that are not faint
  // Pixels of CSS; drawn to a smaller scale where the page has less room.
  int width = 1000;
  int height = 620;
};

// A <figure> with title, key and inline <svg>; needs kLineChartStyle. "" without points, all of
// which are finite. Texts are escaped. Thread-safe.
std::string RenderScatterPlot(const ScatterPlot& plot);

}  // namespace ddpt
