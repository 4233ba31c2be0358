#include "client/evaluation_sections.h"

#include <algorithm>
#include <limits>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/evaluate_prompts.h"
#include "client/html.h"
#include "client/line_chart.h"
#include "client/output.h"

namespace ddpt {
namespace {

using Cell = v1::EvaluateResponse::Cell;

constexpr char kNll[] = "nll";  // the only metric that is better the smaller it is

std::string TitleOf(const std::string& metric) {
  static const auto& titles =
      *new std::map<std::string, std::string>{{kNll, "NLL, nats a token"},
                                              {"bleu4", "BLEU-4"},
                                              {"bleu4_conala", "BLEU-4, CoNaLa"},
                                              {"bleu4_codexglue", "BLEU-4, CodeXGLUE"},
                                              {"bleu4_huggingface", "BLEU-4, Hugging Face"},
                                              {"bleu4_sacrebleu", "BLEU-4, sacrebleu"},
                                              {"chrf", "chrF"},
                                              {"rouge_l", "ROUGE-L"},
                                              {"meteor", "METEOR"},
                                              {"exact_match", "exact match"},
                                              {"code_bleu", "CodeBLEU"},
                                              {"code_bleu_strict", "CodeBLEU, strict"},
                                              {"code_bleu_ngram", "its n-grams"},
                                              {"code_bleu_weighted_ngram", "its weighted n-grams"},
                                              {"code_bleu_syntax", "its syntax"},
                                              {"code_bleu_data_flow", "its data flow"}};
  const auto found = titles.find(metric);
  return found == titles.end() ? metric : found->second;
}

// Contender and metric.
using Table = std::map<std::pair<std::string, std::string>, Cell>;

Table TableOf(const EvaluationFile& evaluation) {
  Table table;
  for (const Cell& cell : evaluation.table) table[{cell.contender(), cell.metric()}] = cell;
  return table;
}

std::vector<std::string> MetricsOf(const EvaluationFile& evaluation) {
  std::vector<std::string> metrics;
  for (const Cell& cell : evaluation.table) {
    if (std::find(metrics.begin(), metrics.end(), cell.metric()) == metrics.end()) {
      metrics.push_back(cell.metric());
    }
  }
  return metrics;
}

std::string RowOf(const EvaluationFile& evaluation, const Table& table, const std::string& metric) {
  const bool falls = metric == kNll;
  double best = falls ? std::numeric_limits<double>::infinity() : 0;
  for (const Cell& cell : evaluation.table) {
    if (cell.metric() != metric) continue;
    best = falls ? std::min(best, cell.value()) : std::max(best, cell.value());
  }
  std::string row = absl::StrCat("<tr><th>", EscapeHtml(TitleOf(metric)), "</th>");
  for (const auto& contender : evaluation.contenders) {
    const auto found = table.find({contender.name, metric});
    if (found == table.end()) {
      absl::StrAppend(&row, "<td>-</td>");
      continue;
    }
    const Cell& cell = found->second;
    absl::StrAppendFormat(&row, "<td%s>%.4f", cell.value() == best ? " class=\"best\"" : "",
                          cell.value());
    if (evaluation.resamples > 0) {
      absl::StrAppendFormat(&row, "<small>%.3f – %.3f</small>", cell.low(), cell.high());
    }
    absl::StrAppend(&row, "</td>");
  }
  return row + "</tr>\n";
}

// A metric with its interval over the steps of contenders of one task.
std::string StepsChart(const std::map<uint32_t, std::string>& contenders, const Table& table,
                       const std::string& metric) {
  constexpr double kGap = std::numeric_limits<double>::quiet_NaN();
  Curve value{.label = TitleOf(metric), .style = Curve::Style::kMarked},
      interval{.label = "95 % interval", .style = Curve::Style::kDashed};
  std::vector<std::pair<double, double>> high = {{kGap, kGap}};
  for (const auto& [steps, contender] : contenders) {
    const auto found = table.find({contender, metric});
    if (found == table.end()) continue;
    value.points.emplace_back(steps, found->second.value());
    interval.points.emplace_back(steps, found->second.low());
    high.emplace_back(steps, found->second.high());
  }
  interval.points.insert(interval.points.end(), high.begin(), high.end());
  return RenderLineChart({.title = TitleOf(metric),
                          .x_label = "sampling steps",
                          .curves = {interval, value},
                          .log_x = true,
                          .from_zero = false});
}

}  // namespace

std::string EvaluationTable(const EvaluationFile& evaluation) {
  const Table table = TableOf(evaluation);
  std::string head, rows;
  for (const auto& contender : evaluation.contenders) {
    absl::StrAppend(&head, "<th>", EscapeHtml(contender.name), "</th>");
  }
  for (const std::string& metric : MetricsOf(evaluation)) rows += RowOf(evaluation, table, metric);
  std::string notes =
      absl::StrCat(CountWord(evaluation.examples.size()), " examples; the best of a row is bold");
  if (evaluation.resamples > 0) {
    absl::StrAppend(&notes, "; 95 % intervals over ", CountWord(evaluation.resamples),
                    " resamples of the examples");
  }
  if (!evaluation.language.empty()) {
    absl::StrAppend(&notes, "; CodeBLEU of ", EscapeHtml(evaluation.language));
  }
  return absl::StrCat(
      "<h2>Quality</h2>\n<div class=\"wide\"><table class=\"figures\">\n<thead><tr><th></th>", head,
      "</tr></thead>\n<tbody>\n", rows, "</tbody>\n</table></div>\n<p class=\"notes\">", notes,
      ".</p>\n");
}

std::string StepsSection(const EvaluationFile& evaluation) {
  std::map<std::string, std::map<uint32_t, std::string>> tasks;
  for (const auto& [name, words] : evaluation.contenders) {
    const auto contender = ParseContender(words);
    if (!contender.ok() || !contender->has_sampling()) continue;
    tasks[contender->prompt().task()][contender->sampling().steps()] = name;
  }
  const Table table = TableOf(evaluation);
  std::string section;
  for (const auto& [task, contenders] : tasks) {
    if (contenders.size() < 2) continue;
    absl::StrAppend(&section, "<h2>Quality of ", EscapeHtml(task),
                    " over sampling steps</h2>\n<div class=\"charts even\">\n");
    for (const char* metric : {kNll, "bleu4", "chrf", "code_bleu"}) {
      section += StepsChart(contenders, table, metric);
    }
    section += "</div>\n";
  }
  return section;
}

}  // namespace ddpt
