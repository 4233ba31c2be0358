#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "client/line_chart.h"
#include "ddpt/v1/training.pb.h"

namespace ddpt {

// What a job measured over its optimizer steps. Of a step that was done again after a restart the
// later event counts.
class LearningCurves {
 public:
  // The values of one metric by optimizer step.
  using Series = std::map<uint64_t, double>;

  explicit LearningCurves(const std::vector<v1::JobEvent>& events);

  // Empty where the metric never came.
  const Series& Metric(const std::string& name) const;
  Curve CurveOf(std::string label, const std::string& metric,
                Curve::Style style = Curve::Style::kLine) const;

  // A chart over all steps of the job (line_chart.h); "" where nothing of it was measured.
  std::string Plot(LineChart chart) const;
  // Training, validation and the model without a prompt.
  std::string LossPlot(std::string title) const;

 private:
  Curve WithoutPrompt() const;

  std::map<std::string, Series> series_;
  uint64_t last_step_ = 0;
};

}  // namespace ddpt
