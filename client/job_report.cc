#include "client/job_report.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "client/html.h"
#include "client/learning_curves.h"
#include "client/line_chart.h"
#include "client/output.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

using Job = v1::TrainingJob;
using Series = LearningCurves::Series;
using Style = Curve::Style;

class Report {
 public:
  explicit Report(const std::vector<v1::JobEvent>& events)
      : events_(events), job_(events.back().job()), curves_(events) {}

  std::string Page() const;

 private:
  std::string Head() const;
  std::string Plots() const;
  std::string Validations() const;
  std::string Messages() const;

  std::string DenoiserWords() const;
  std::string ValidationWords() const;
  std::string Plot(std::string title, std::vector<Curve> curves) const;

  const std::vector<v1::JobEvent>& events_;
  const Job& job_;
  const LearningCurves curves_;
};

std::string Report::Page() const {
  return HtmlPage(absl::StrCat(job_.job_id(), " of task ", job_.task()),
                  absl::StrCat(Head(), Plots(), Validations(), Messages()));
}

absl::Time TimeOf(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

std::string Report::Head() const {
  const std::string state = EnumWord(*Job::State_descriptor(), job_.state(), "STATE_");
  const absl::Duration time = TimeOf(job_.update_time()) - TimeOf(job_.create_time());
  std::string head =
      absl::StrFormat("<h1>%s of task %s <span class=\"state %s\">%s</span></h1>\n",
                      EscapeHtml(job_.job_id()), EscapeHtml(job_.task()), state, state);
  if (!job_.error().empty()) {
    absl::StrAppend(&head, "<p class=\"error\">", EscapeHtml(job_.error()), "</p>\n");
  }
  absl::StrAppend(
      &head, "<dl>\n", Fact("Validation NLL", ValidationWords()),
      Fact("Method", EnumWord(*v1::Method_descriptor(), job_.method(), "METHOD_")),
      Fact("Steps", absl::StrCat(CountWord(job_.step()), " of ", CountWord(job_.total_steps()))),
      Fact("Data", absl::StrCat(CountWord(job_.train_examples()), " training examples, ",
                                CountWord(job_.validation_examples()), " validation examples<br>",
                                CodeElement(job_.dataset_digest()))),
      Fact("Denoiser", DenoiserWords()),
      Fact("Time",
           absl::StrCat(TimeWord(job_.create_time()), " to ", TimeWord(job_.update_time()), ", ",
                        absl::FormatDuration(absl::Trunc(time, absl::Milliseconds(100))))),
      Fact("Resumes", CountWord(job_.resumes())), "</dl>\n");
  return head;
}

std::string Report::ValidationWords() const {
  if (curves_.Metric("validation_nll").empty()) return "none";
  return absl::StrFormat("<b>%.4f</b> nats per token at best, %.4f without a prompt",
                         job_.validation_nll(), job_.validation_nll_none());
}

std::string Report::DenoiserWords() const {
  if (job_.version() == 0) return "none";
  return absl::StrCat("version ", job_.version(), "<br>", CodeElement(job_.denoiser_digest()));
}

std::string Report::Plot(std::string title, std::vector<Curve> curves) const {
  return curves_.Plot({.title = std::move(title), .curves = std::move(curves)});
}

std::string Report::Plots() const {
  // A method without draws has none that differ.
  const Series& variance = curves_.Metric("prompt_variance");
  const bool varies = std::any_of(variance.begin(), variance.end(),
                                  [](const auto& point) { return point.second != 0; });
  const std::string plots = absl::StrCat(
      curves_.LossPlot("Loss, nats per token"),
      Plot("Learning rate", {curves_.CurveOf("", "learning_rate")}),
      Plot("Gradient norm, before clipping", {curves_.CurveOf("", "gradient_norm")}),
      Plot("Prompt RMS", {curves_.CurveOf("in training", "prompt_rms"),
                          curves_.CurveOf("as served", "served_prompt_rms", Style::kMarked)}),
      varies ? Plot("Prompt variance, relative to the mean square",
                    {curves_.CurveOf("", "prompt_variance")})
             : "",
      Plot("Prompt effect, nats",
           {curves_.CurveOf("prompt effect", "prompt_effect", Style::kMarked)}),
      Plot("Time of a step, seconds", {curves_.CurveOf("", "step_seconds")}));
  if (plots.empty()) return "";
  return absl::StrCat("<h2>Learning curves</h2>\n<div class=\"charts\">\n", plots, "</div>\n");
}

std::string Report::Validations() const {
  const Series& nll = curves_.Metric("validation_nll");
  if (nll.empty()) return "";
  const auto best = std::min_element(
      nll.begin(), nll.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  std::string rows;
  for (const auto& [step, value] : nll) {
    absl::StrAppendFormat(&rows, "<tr%s><td>%s</td><td>%.4f</td>",
                          step == best->first ? " class=\"best\"" : "", CountWord(step), value);
    for (const char* name : {"validation_nll_none", "served_prompt_rms", "prompt_effect"}) {
      const auto found = curves_.Metric(name).find(step);
      absl::StrAppend(
          &rows, "<td>",
          found == curves_.Metric(name).end() ? "-" : absl::StrFormat("%.4f", found->second),
          "</td>");
    }
    absl::StrAppend(&rows, "</tr>\n");
  }
  return absl::StrCat(
      "<h2>Validations</h2>\n<table>\n<thead><tr><th>Step</th><th>NLL, nats per token</th>",
      "<th>Without a prompt</th><th>Served prompt RMS</th><th>Prompt effect, "
      "nats</th></tr></thead>",
      "\n<tbody>\n", rows, "</tbody>\n</table>\n");
}

std::string Report::Messages() const {
  std::string rows;
  for (const v1::JobEvent& event : events_) {
    if (event.message().empty()) continue;
    absl::StrAppend(&rows, "<tr><td>", TimeWord(event.time()), "</td><td>",
                    CountWord(event.job().step()), "</td><td>", EscapeHtml(event.message()),
                    "</td></tr>\n");
  }
  if (rows.empty()) return "";
  return absl::StrCat(
      "<h2>Messages</h2>\n<table class=\"words messages\">\n<thead><tr><th>Time</th>",
      "<th>Step</th><th>Message</th></tr></thead>\n<tbody>\n", rows, "</tbody>\n</table>\n");
}

}  // namespace

std::string JobReport(const std::vector<v1::JobEvent>& events) { return Report(events).Page(); }

}  // namespace ddpt
