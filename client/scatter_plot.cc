#include "client/scatter_plot.h"

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/html.h"

namespace ddpt {
namespace {

using Point = PointGroup::Point;
using Style = PointGroup::Style;

constexpr double kMargin = 16;
constexpr double kLetterWidth = 7.5, kLineHeight = 14;  // of a label, about

struct Box {
  double left, top, right, bottom;

  bool Overlaps(const Box& other) const {
    return left < other.right && other.left < right && top < other.bottom && other.top < bottom;
  }
};

Box BoundsOf(const ScatterPlot& plot) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  Box bounds{kInfinity, kInfinity, -kInfinity, -kInfinity};
  for (const PointGroup& group : plot.groups) {
    for (const Point& point : group.points) {
      bounds.left = std::min(bounds.left, point.x);
      bounds.right = std::max(bounds.right, point.x);
      bounds.top = std::min(bounds.top, point.y);
      bounds.bottom = std::max(bounds.bottom, point.y);
    }
  }
  return bounds;
}

// What draws one plot: its scale, and the SVG so far.
class Drawing {
 public:
  Drawing(const ScatterPlot& plot, const Box& bounds);

  void AddGroup(const PointGroup& group, size_t index);
  std::string Finish() &&;

 private:
  double X(double x) const { return plot_.width / 2.0 + (x - middle_x_) * scale_; }
  double Y(double y) const { return plot_.height / 2.0 + (y - middle_y_) * scale_; }
  std::string Colour(size_t index) const;
  void AddLabel(const Point& point);

  const ScatterPlot& plot_;
  const double middle_x_, middle_y_;
  double scale_;  // pixels a unit
  std::vector<Box> labels_;
  std::string svg_, texts_;
};

Drawing::Drawing(const ScatterPlot& plot, const Box& bounds)
    : plot_(plot),
      middle_x_((bounds.left + bounds.right) / 2),
      middle_y_((bounds.top + bounds.bottom) / 2) {
  // One point alone lies in the middle.
  const double width = std::max(bounds.right - bounds.left, 1e-9);
  const double height = std::max(bounds.bottom - bounds.top, 1e-9);
  scale_ = std::min((plot.width - 2 * kMargin) / width, (plot.height - 2 * kMargin) / height);
}

// The last of three colours is that of faint groups.
std::string Drawing::Colour(size_t index) const {
  if (plot_.groups[index].style == Style::kFaint) return "c2";
  const auto faint = std::count_if(plot_.groups.begin(), plot_.groups.begin() + index,
                                   [](const auto& group) { return group.style == Style::kFaint; });
  return absl::StrCat("c", index - faint);
}

void Drawing::AddGroup(const PointGroup& group, size_t index) {
  const bool faint = group.style == Style::kFaint;
  const std::string look = absl::StrCat(Colour(index), faint ? " faint" : "");
  for (const Point& point : group.points) {
    absl::StrAppendFormat(&svg_,
                          "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"%s\"><title>%s</title>"
                          "</circle>\n",
                          look, X(point.x), Y(point.y), faint ? "2" : "4", EscapeHtml(point.label));
    if (group.style == Style::kNamed) AddLabel(point);
  }
}

void Drawing::AddLabel(const Point& point) {
  const double width = kLetterWidth * static_cast<double>(point.label.size());
  const double x = X(point.x), y = Y(point.y);
  const bool left = x + 7 + width > plot_.width;
  const double begin = left ? x - 7 - width : x + 7;
  const Box box{begin, y - kLineHeight / 2, begin + width, y + kLineHeight / 2};
  for (const Box& other : labels_) {
    if (box.Overlaps(other)) return;
  }
  labels_.push_back(box);
  absl::StrAppendFormat(&texts_, "<text style=\"text-anchor:%s\" x=\"%.1f\" y=\"%.1f\">%s</text>\n",
                        left ? "end" : "start", left ? x - 7 : x + 7, y + 4,
                        EscapeHtml(point.label));
}

std::string Drawing::Finish() && {
  std::string key;
  for (size_t i = 0; i < plot_.groups.size(); ++i) {
    absl::StrAppend(&key, " <span class=\"key dot ", Colour(i), "\">",
                    EscapeHtml(plot_.groups[i].label), "</span>");
  }
  const std::string title = EscapeHtml(plot_.title);
  return absl::StrFormat(
      "<figure class=\"chart\">\n<figcaption><b>%s</b>%s</figcaption>\n"
      "<svg viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\" aria-label=\"%s\">\n"
      "<g class=\"dots\">\n%s%s</g>\n</svg>\n</figure>\n",
      title, key, plot_.width, plot_.height, plot_.width, plot_.height, title, svg_, texts_);
}

}  // namespace

std::string RenderScatterPlot(const ScatterPlot& plot) {
  const Box bounds = BoundsOf(plot);
  if (bounds.left > bounds.right) return "";
  Drawing drawing(plot, bounds);
  for (size_t i = 0; i < plot.groups.size(); ++i) drawing.AddGroup(plot.groups[i], i);
  return std::move(drawing).Finish();
}

}  // namespace ddpt
