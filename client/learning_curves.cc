#include "client/learning_curves.h"

#include <algorithm>
#include <utility>

namespace ddpt {

LearningCurves::LearningCurves(const std::vector<v1::JobEvent>& events) {
  for (const v1::JobEvent& event : events) {
    const uint64_t step = event.job().step();
    last_step_ = std::max(last_step_, step);
    for (const auto& [name, value] : event.metrics()) series_[name][step] = value;
  }
}

const LearningCurves::Series& LearningCurves::Metric(const std::string& name) const {
  static const Series& none = *new Series();
  const auto found = series_.find(name);
  return found == series_.end() ? none : found->second;
}

Curve LearningCurves::CurveOf(std::string label, const std::string& metric,
                              Curve::Style style) const {
  const Series& series = Metric(metric);
  return {std::move(label), style, {series.begin(), series.end()}};
}

// The model's own NLL does not change with the steps.
Curve LearningCurves::WithoutPrompt() const {
  Curve curve{.label = "validation, without a prompt", .style = Curve::Style::kDashed};
  const Series& none = Metric("validation_nll_none");
  if (none.empty()) return curve;
  const double nll = none.rbegin()->second;
  curve.points = {{0, nll}, {last_step_, nll}};
  return curve;
}

std::string LearningCurves::Plot(LineChart chart) const {
  std::erase_if(chart.curves, [](const Curve& curve) { return curve.points.empty(); });
  chart.x_label = "optimizer step";
  chart.x_end = static_cast<double>(last_step_);
  return RenderLineChart(chart);
}

std::string LearningCurves::LossPlot(std::string title) const {
  return Plot(
      {.title = std::move(title),
       .curves = {CurveOf("training", "loss"),
                  CurveOf("validation", "validation_nll", Curve::Style::kMarked), WithoutPrompt()},
       .from_zero = false,
       .width = 1000,
       .height = 290});
}

}  // namespace ddpt
