#pragma once

#include <string>
#include <utility>
#include <vector>

namespace ddpt {

// One quantity of a LineChart. A point that is not finite, or beyond 1e100, breaks the line.
struct Curve {
  enum class Style {
    kLine,
    kDashed,
    kMarked,  // a line with a mark at each point, which tells its value when pointed at
  };
  std::string label;
  Style style = Style::kLine;
  std::vector<std::pair<double, double>> points = {};  // (x, y), x from 0 on
};

// Curves over common axes, for an HTML page; later ones lie on top. The x axis counts: its ticks
// are whole numbers. Texts are escaped.
struct LineChart {
  std::string title = {};  // the quantity and its unit
  std::string x_label = {};
  // The x axis runs from 0 to here, or to the last point where that is further.
  double x_end = 0;
  std::vector<Curve> curves = {};
  // Whether the x axis runs from 1 on and is divided by powers of ten; points below 1 are not
  // drawn.
  bool log_x = false;
  // Whether the y axis starts at 0 even where all values are far above it.
  bool from_zero = true;
  // Pixels of CSS, at least 200 x 100; drawn to a smaller scale where the page has less room.
  int width = 490;
  int height = 230;
};

// A <figure> with the title, a key where there are several curves, and an inline <svg>; needs
// kLineChartStyle. "" where no curve has a point to draw. Thread-safe.
std::string RenderLineChart(const LineChart& chart);

// CSS for <style>: colours for a light and a dark screen and for paper.
extern const char kLineChartStyle[];

// Round numbers, 1, 2 or 5 times a power of ten apart: the first at or below `low`, the last at or
// above `high`, the distances at least a `most`-th of what lies between. low < high. Thread-safe.
std::vector<double> AxisTicks(double low, double high, int most);

}  // namespace ddpt
