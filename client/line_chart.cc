#include "client/line_chart.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/html.h"
#include "client/output.h"

namespace ddpt {
namespace {

constexpr double kLargest = 1e100;
// Around the plotted area: room for the ticks' labels and the x axis's.
constexpr int kLeft = 58, kRight = 28, kTop = 10, kBottom = 42;
constexpr int kPixelsPerTickX = 60, kPixelsPerTickY = 32;

bool CanBeDrawn(const LineChart& chart, const std::pair<double, double>& point) {
  if (chart.log_x && !(point.first >= 1)) return false;
  return std::abs(point.first) <= kLargest && std::abs(point.second) <= kLargest;
}

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();

  void Add(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
};

// What the y axis has to show: 0 where it is wanted or costs less than half of the height, and a
// constant in the middle.
Range Widened(Range y, bool from_zero) {
  const double largest = std::max(std::abs(y.low), std::abs(y.high));
  if (largest < 1 / kLargest) return {0, 1};
  if (y.high - y.low <= 1e-9 * largest) return {y.low - largest, y.low + largest};
  if (y.low > 0 && (from_zero || y.low < y.high / 2)) y.low = 0;
  return y;
}

// From 0 on; whatever is counted, there are no halves of it.
std::vector<double> WholeTicks(double high, int most) {
  return AxisTicks(0, high, static_cast<int>(std::clamp<double>(high, 1, most)));
}

std::vector<double> PowersOfTen(double high) {
  std::vector<double> ticks = {1};
  while (ticks.back() * 10 <= high) ticks.push_back(ticks.back() * 10);
  return ticks;
}

std::string TickLabel(double value, double distance) {
  const int decimals = -static_cast<int>(std::floor(std::log10(distance) + 1e-9));
  if (decimals > 6 || decimals < -6) return absl::StrFormat("%g", value);
  if (decimals <= 0 && value >= 0) return CountWord(std::llround(value));
  return absl::StrFormat("%.*f", std::max(decimals, 0), value);
}

// What draws one chart: the scales of its axes, and the SVG so far.
class Drawing {
 public:
  Drawing(const LineChart& chart, double x_end, const Range& y);

  void AddAxes();
  void AddCurve(const Curve& curve, size_t index);
  std::string Finish() &&;

 private:
  double X(double x) const {
    return kLeft + (chart_.log_x ? std::log(x) / std::log(x_end_) : x / x_end_) * width_;
  }
  double Y(double y) const { return kTop + (y_.high - y) / (y_.high - y_.low) * height_; }
  void AddMark(const std::string& label, size_t index, double x, double y);

  const LineChart& chart_;
  const int width_, height_;  // of the plotted area
  const double x_end_;
  const std::vector<double> x_ticks_, y_ticks_;
  const Range y_;  // to the outer ticks
  std::string svg_;
};

Drawing::Drawing(const LineChart& chart, double x_end, const Range& y)
    : chart_(chart),
      width_(chart.width - kLeft - kRight),
      height_(chart.height - kTop - kBottom),
      x_end_(x_end),
      x_ticks_(chart.log_x ? PowersOfTen(x_end) : WholeTicks(x_end, width_ / kPixelsPerTickX)),
      y_ticks_(AxisTicks(y.low, y.high, height_ / kPixelsPerTickY)),
      y_{y_ticks_.front(), y_ticks_.back()} {}

void Drawing::AddAxes() {
  std::string grid, labels;
  for (const double tick : y_ticks_) {
    absl::StrAppendFormat(&grid, "M%d,%.1fh%d", kLeft, Y(tick), width_);
    absl::StrAppendFormat(&labels, "<text class=\"y\" x=\"%d\" y=\"%.1f\">%s</text>", kLeft - 8,
                          Y(tick) + 4, TickLabel(tick, y_ticks_[1] - y_ticks_[0]));
  }
  const double floor = kTop + height_;
  for (const double tick : x_ticks_) {
    if (tick > x_end_) continue;
    absl::StrAppendFormat(&grid, "M%.1f,%.1fv5", X(tick), floor);
    absl::StrAppendFormat(&labels, "<text x=\"%.1f\" y=\"%.1f\">%s</text>", X(tick), floor + 18,
                          TickLabel(tick, 1));
  }
  absl::StrAppendFormat(&svg_, "<path class=\"grid\" d=\"%s\"/>\n%s\n", grid, labels);
  absl::StrAppendFormat(&svg_, "<text x=\"%.1f\" y=\"%d\">%s</text>\n", kLeft + width_ / 2.0,
                        chart_.height - 6, EscapeHtml(chart_.x_label));
}

void Drawing::AddCurve(const Curve& curve, size_t index) {
  const auto& points = curve.points;
  const auto drawn = [&](size_t i) { return i < points.size() && CanBeDrawn(chart_, points[i]); };
  std::string path;
  for (size_t i = 0; i < points.size(); ++i) {
    if (!drawn(i)) continue;
    const auto& [x, y] = points[i];
    const bool begins = i == 0 || !drawn(i - 1);
    absl::StrAppendFormat(&path, "%c%.1f,%.1f", begins ? 'M' : 'L', X(x), Y(y));
    // A point without neighbours makes no line.
    const bool alone = begins && !drawn(i + 1);
    if (alone || curve.style == Curve::Style::kMarked) AddMark(curve.label, index, x, y);
  }
  absl::StrAppendFormat(&svg_, "<path class=\"c%d%s\" d=\"%s\"/>\n", index,
                        curve.style == Curve::Style::kDashed ? " dashed" : "", path);
}

void Drawing::AddMark(const std::string& label, size_t index, double x, double y) {
  absl::StrAppendFormat(&svg_,
                        "<circle class=\"c%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\">"
                        "<title>%s at %g: %.5g</title></circle>\n",
                        index, X(x), Y(y), EscapeHtml(label), x, y);
}

std::string Drawing::Finish() && {
  std::string key;
  for (size_t i = 0; chart_.curves.size() > 1 && i < chart_.curves.size(); ++i) {
    const Curve& curve = chart_.curves[i];
    absl::StrAppendFormat(&key, " <span class=\"key c%d%s\">%s</span>", i,
                          curve.style == Curve::Style::kDashed ? " dashed" : "",
                          EscapeHtml(curve.label));
  }
  const std::string title = EscapeHtml(chart_.title);
  return absl::StrFormat(
      "<figure class=\"chart\">\n<figcaption><b>%s</b>%s</figcaption>\n"
      "<svg viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\" aria-label=\"%s\">\n"
      "%s</svg>\n</figure>\n",
      title, key, chart_.width, chart_.height, chart_.width, chart_.height, title, svg_);
}

}  // namespace

std::vector<double> AxisTicks(double low, double high, int most) {
  const double least = (high - low) / most;
  const double power = std::pow(10, std::floor(std::log10(least)));
  double distance = 10 * power;
  for (const double factor : {5, 2, 1}) {
    if (factor * power >= least * (1 - 1e-9)) distance = factor * power;
  }
  const double first = std::floor(low / distance + 1e-9);
  const double last = std::ceil(high / distance - 1e-9);
  std::vector<double> ticks;
  for (int i = 0; i <= static_cast<int>(last - first); ++i) ticks.push_back((first + i) * distance);
  return ticks;
}

std::string RenderLineChart(const LineChart& chart) {
  Range y;
  double x_end = chart.x_end;
  for (const Curve& curve : chart.curves) {
    for (const auto& point : curve.points) {
      if (!CanBeDrawn(chart, point)) continue;
      x_end = std::max(x_end, point.first);
      y.Add(point.second);
    }
  }
  if (y.low > y.high) return "";
  // A logarithmic axis has at least one power of ten.
  Drawing drawing(chart, std::max(x_end, chart.log_x ? 10.0 : 1.0), Widened(y, chart.from_zero));
  drawing.AddAxes();
  for (size_t i = 0; i < chart.curves.size(); ++i) drawing.AddCurve(chart.curves[i], i);
  return std::move(drawing).Finish();
}

const char kLineChartStyle[] = R"css(
.chart { --c0: #2563b0; --c1: #c2500c; --c2: #6b7280; --grid: #e2e5e9; --ink: #57606a; --sheet: #fff;
  margin: 0; break-inside: avoid; overflow-x: auto; }
.chart svg { display: block; max-width: 100%; height: auto; font-size: 12px; fill: var(--ink); }
.chart text { text-anchor: middle; font-variant-numeric: tabular-nums; }
.chart text.y { text-anchor: end; }
.chart path { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.chart path.grid { stroke: var(--grid); stroke-width: 1; }
.chart path.dashed { stroke-dasharray: 6 4; }
.chart circle { stroke: var(--sheet); stroke-width: 1; }
.chart path.c0 { stroke: var(--c0); } .chart circle.c0 { fill: var(--c0); } .key.c0::before { border-color: var(--c0); }
.chart path.c1 { stroke: var(--c1); } .chart circle.c1 { fill: var(--c1); } .key.c1::before { border-color: var(--c1); }
.chart path.c2 { stroke: var(--c2); } .chart circle.c2 { fill: var(--c2); } .key.c2::before { border-color: var(--c2); }
.chart .dots circle { stroke-width: 0.5; }
.chart .faint { opacity: 0.45; }
.chart .dots text { font-weight: 600; paint-order: stroke; stroke: var(--sheet); stroke-width: 3px; }
.key { margin-left: 1em; white-space: nowrap; }
.key::before { content: ""; display: inline-block; width: 1.4em; margin-right: 0.4em; vertical-align: middle;
  border-top: 2px solid; }
.key.dashed::before { border-top-style: dashed; }
.key.dot::before { width: 0; border-width: 4px; border-style: solid; border-radius: 4px; }
@media screen and (max-width: 720px) { .chart svg { max-width: none; } }
@media screen and (prefers-color-scheme: dark) {
  .chart { --c0: #6cb0ff; --c1: #ff9d57; --c2: #9aa4b0; --grid: #2d333b; --ink: #a3adb8; --sheet: #14181d; }
}
)css";

}  // namespace ddpt
