#include "client/job_report.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "client/html.h"
#include "client/line_chart.h"
#include "client/output.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

using Job = v1::TrainingJob;
using Style = Curve::Style;

// The values of one metric by optimizer step.
using Series = std::map<uint64_t, double>;

constexpr char kPageStyle[] = R"css(
:root { --sheet: #fff; --text: #1c2128; --quiet: #57606a; --line: #d8dce1; --bad: #b3261e; --good: #1a7f4b;
  color-scheme: light dark; }
@media screen and (prefers-color-scheme: dark) {
  :root { --sheet: #14181d; --text: #e3e7ec; --quiet: #a3adb8; --line: #333a43; --bad: #ff8a80; --good: #5fd39a; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 3rem; max-width: 1040px; background: var(--sheet); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; overflow-wrap: anywhere; }
h1 { margin: 0 0 1rem; font-size: 1.6rem; line-height: 1.25; }
h2 { margin: 2rem 0 0.75rem; font-size: 1.1rem; break-after: avoid; }
code { font: 0.87em ui-monospace, "DejaVu Sans Mono", monospace; }
.state { margin-left: 0.4em; padding: 0.1em 0.6em; border: 1px solid; border-radius: 1em; font-size: 0.9rem;
  font-weight: 600; vertical-align: 0.2em; color: var(--quiet); white-space: nowrap; }
.succeeded { color: var(--good); }
.failed, .error { color: var(--bad); }
.error { padding-left: 0.8em; border-left: 3px solid; white-space: pre-line; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.2rem 1.5rem; margin: 0; }
dt { color: var(--quiet); }
dd { margin: 0; }
.charts { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 1.75rem 20px; }
.charts > :first-child { grid-column: 1 / -1; }
figcaption { margin-bottom: 0.4rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0 0.3rem 1.75rem; border-bottom: 1px solid var(--line); text-align: right; }
th { color: var(--quiet); font-weight: 400; vertical-align: bottom; overflow-wrap: normal; }
th:first-child, td:first-child { padding-left: 0; }
tr { break-inside: avoid; }
tr.best { font-weight: 700; }
.messages th, .messages td { text-align: left; white-space: pre-line; }
.messages td:first-child { white-space: nowrap; }
@media screen and (max-width: 720px) {
  .charts { grid-template-columns: minmax(0, 1fr); }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: 0.5rem; }
  th, td { padding-left: 0.8rem; }
}
@media print {
  @page { margin: 14mm; }
  body { max-width: none; padding: 0; font-size: 10pt; }
}
)css";

std::map<std::string, Series> SeriesOf(const std::vector<v1::JobEvent>& events) {
  std::map<std::string, Series> all;
  for (const v1::JobEvent& event : events) {
    for (const auto& [name, value] : event.metrics()) all[name][event.job().step()] = value;
  }
  return all;
}

class Report {
 public:
  explicit Report(const std::vector<v1::JobEvent>& events)
      : events_(events), job_(events.back().job()), series_(SeriesOf(events)) {
    for (const v1::JobEvent& event : events) last_step_ = std::max(last_step_, event.job().step());
  }

  std::string Page() const;

 private:
  std::string Head() const;
  std::string Plots() const;
  std::string Validations() const;
  std::string Messages() const;

  std::string DenoiserWords() const;
  std::string ValidationWords() const;
  // Empty where the metric never came.
  const Series& Metric(const std::string& name) const;
  Curve CurveOf(std::string label, const std::string& metric, Style style = Style::kLine) const;
  Curve WithoutPrompt() const;
  // Over all steps of the job.
  std::string Plot(LineChart chart) const;
  std::string Plot(std::string title, std::vector<Curve> curves) const;

  const std::vector<v1::JobEvent>& events_;
  const Job& job_;
  const std::map<std::string, Series> series_;
  uint64_t last_step_ = 0;
};

std::string Report::Page() const {
  const std::string title = EscapeHtml(absl::StrCat(job_.job_id(), " of task ", job_.task()));
  return absl::StrCat("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
                      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; ",
                      "style-src 'unsafe-inline'\">\n",
                      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
                      "<title>", title, "</title>\n<style>", kPageStyle, kLineChartStyle,
                      "</style>\n</head>\n<body>\n", Head(), Plots(), Validations(), Messages(),
                      "</body>\n</html>\n");
}

std::string Fact(std::string_view name, const std::string& html) {
  return absl::StrCat("<dt>", Piece(name), "</dt><dd>", html, "</dd>\n");
}

std::string Code(const std::string& text) {
  return absl::StrCat("<code>", EscapeHtml(text), "</code>");
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
                                Code(job_.dataset_digest()))),
      Fact("Denoiser", DenoiserWords()),
      Fact("Time",
           absl::StrCat(TimeWord(job_.create_time()), " to ", TimeWord(job_.update_time()), ", ",
                        absl::FormatDuration(absl::Trunc(time, absl::Milliseconds(100))))),
      Fact("Resumes", CountWord(job_.resumes())), "</dl>\n");
  return head;
}

std::string Report::ValidationWords() const {
  if (Metric("validation_nll").empty()) return "none";
  return absl::StrFormat("<b>%.4f</b> nats per token at best, %.4f without a prompt",
                         job_.validation_nll(), job_.validation_nll_none());
}

std::string Report::DenoiserWords() const {
  if (job_.version() == 0) return "none";
  return absl::StrCat("version ", job_.version(), "<br>", Code(job_.denoiser_digest()));
}

const Series& Report::Metric(const std::string& name) const {
  static const Series& none = *new Series();
  const auto found = series_.find(name);
  return found == series_.end() ? none : found->second;
}

Curve Report::CurveOf(std::string label, const std::string& metric, Style style) const {
  const Series& series = Metric(metric);
  return {std::move(label), style, {series.begin(), series.end()}};
}

// The model's own NLL does not change with the steps.
Curve Report::WithoutPrompt() const {
  Curve curve{.label = "validation, without a prompt", .style = Style::kDashed};
  const Series& none = Metric("validation_nll_none");
  if (none.empty()) return curve;
  const double nll = none.rbegin()->second;
  curve.points = {{0, nll}, {last_step_, nll}};
  return curve;
}

std::string Report::Plot(LineChart chart) const {
  std::erase_if(chart.curves, [](const Curve& curve) { return curve.points.empty(); });
  chart.x_label = "optimizer step";
  chart.x_end = static_cast<double>(last_step_);
  return RenderLineChart(chart);
}

std::string Report::Plot(std::string title, std::vector<Curve> curves) const {
  return Plot({.title = std::move(title), .curves = std::move(curves)});
}

std::string Report::Plots() const {
  // A method without draws has none that differ.
  const Series& variance = Metric("prompt_variance");
  const bool varies = std::any_of(variance.begin(), variance.end(),
                                  [](const auto& point) { return point.second != 0; });
  const std::string plots = absl::StrCat(
      Plot({.title = "Loss, nats per token",
            .curves = {CurveOf("training", "loss"),
                       CurveOf("validation", "validation_nll", Style::kMarked), WithoutPrompt()},
            .from_zero = false,
            .width = 1000,
            .height = 290}),
      Plot("Learning rate", {CurveOf("", "learning_rate")}),
      Plot("Gradient norm, before clipping", {CurveOf("", "gradient_norm")}),
      Plot("Prompt RMS", {CurveOf("in training", "prompt_rms"),
                          CurveOf("as served", "served_prompt_rms", Style::kMarked)}),
      varies
          ? Plot("Prompt variance, relative to the mean square", {CurveOf("", "prompt_variance")})
          : "",
      Plot("Prompt effect, nats", {CurveOf("prompt effect", "prompt_effect", Style::kMarked)}),
      Plot("Time of a step, seconds", {CurveOf("", "step_seconds")}));
  if (plots.empty()) return "";
  return absl::StrCat("<h2>Learning curves</h2>\n<div class=\"charts\">\n", plots, "</div>\n");
}

std::string Report::Validations() const {
  const Series& nll = Metric("validation_nll");
  if (nll.empty()) return "";
  const auto best = std::min_element(
      nll.begin(), nll.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  std::string rows;
  for (const auto& [step, value] : nll) {
    absl::StrAppendFormat(&rows, "<tr%s><td>%s</td><td>%.4f</td>",
                          step == best->first ? " class=\"best\"" : "", CountWord(step), value);
    for (const char* name : {"validation_nll_none", "served_prompt_rms", "prompt_effect"}) {
      const auto found = Metric(name).find(step);
      absl::StrAppend(&rows, "<td>",
                      found == Metric(name).end() ? "-" : absl::StrFormat("%.4f", found->second),
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
  return absl::StrCat("<h2>Messages</h2>\n<table class=\"messages\">\n<thead><tr><th>Time</th>",
                      "<th>Step</th><th>Message</th></tr></thead>\n<tbody>\n", rows,
                      "</tbody>\n</table>\n");
}

}  // namespace

std::string JobReport(const std::vector<v1::JobEvent>& events) { return Report(events).Page(); }

}  // namespace ddpt
