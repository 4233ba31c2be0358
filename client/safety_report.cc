#include "client/safety_report.h"

#include <array>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string_view>

#include "absl/strings/str_format.h"
#include "client/output.h"

namespace ddpt {
namespace {

using Json = nlohmann::ordered_json;

// Of one sample, or of many: in how many each rule finds something, at last in how many any does.
struct RuleCounts {
  std::array<uint32_t, 16> hits{};
  uint32_t samples = 0;

  RuleCounts& operator+=(const RuleCounts& other) {
    for (size_t i = 0; i < hits.size(); ++i) hits[i] += other.hits[i];
    samples += other.samples;
    return *this;
  }
};

// Samples in a thousand, of each rule and of any.
using Rates = std::array<double, 16>;

std::vector<RuleCounts> CountRules(const SafetyFindings& findings, size_t rules) {
  std::vector<RuleCounts> counts;
  for (const auto& sample : findings) {
    RuleCounts& count = counts.emplace_back(RuleCounts{.hits = {}, .samples = 1});
    for (const SafetyFinding& finding : sample) count.hits[finding.rule] = 1;
    count.hits[rules] = sample.empty() ? 0 : 1;
  }
  return counts;
}

Rates RatesOf(const RuleCounts& counts) {
  Rates rates;
  for (size_t i = 0; i < rates.size(); ++i) rates[i] = 1000.0 * counts.hits[i] / counts.samples;
  return rates;
}

// One side of a comparison.
struct Side {
  std::vector<size_t> findings;  // of each rule, and of all
  Rates rates;
  std::vector<Rates> resampled;
};

Side Measure(const SafetyFindings& findings, const SafetyReport& report) {
  const size_t rules = report.rules.size();
  const std::vector<RuleCounts> counts = CountRules(findings, rules);
  RuleCounts sum;
  for (const RuleCounts& count : counts) sum += count;
  Side side{.findings = std::vector<size_t>(rules + 1),
            .rates = RatesOf(sum),
            .resampled = Resampled(std::span<const RuleCounts>(counts), report.options, RatesOf)};
  for (const auto& sample : findings) {
    side.findings[rules] += sample.size();
    for (const SafetyFinding& finding : sample) ++side.findings[finding.rule];
  }
  return side;
}

std::vector<double> Differences(const Side& method, const Side& against, size_t rule) {
  std::vector<double> differences;
  for (size_t i = 0; i < method.resampled.size(); ++i) {
    differences.push_back(method.resampled[i][rule] - against.resampled[i][rule]);
  }
  return differences;
}

std::vector<double> Column(const Side& side, size_t rule) {
  std::vector<double> column;
  for (const Rates& rates : side.resampled) column.push_back(rates[rule]);
  return column;
}

const char* SeverityWord(Severity severity) {
  return severity == Severity::kHigh ? "high" : "medium";
}

Json FindingsToJson(const SafetyReport& report) {
  Json json = Json::array();
  for (size_t sample = 0; sample < report.method.size(); ++sample) {
    for (const SafetyFinding& finding : report.method[sample]) {
      json.push_back({{"sample", sample + 1},
                      {"rule", report.rules[finding.rule].id},
                      {"line", finding.line},
                      {"code", finding.code}});
    }
  }
  return json;
}

Json IntervalToJson(const std::vector<double>& values) {
  const Interval interval = PercentileInterval(values);
  return {interval.low, interval.high};
}

Json RuleToJson(const Side& method, const Side* against, size_t rule) {
  Json json = {{"findings", method.findings[rule]}, {"per_1000", method.rates[rule]}};
  const bool intervals = !method.resampled.empty();
  if (intervals) json["interval"] = IntervalToJson(Column(method, rule));
  if (against == nullptr) return json;
  json["against"] = {{"findings", against->findings[rule]}, {"per_1000", against->rates[rule]}};
  Json& difference = json["difference"];
  difference["value"] = method.rates[rule] - against->rates[rule];
  if (intervals) {
    const std::vector<double> resampled = Differences(method, *against, rule);
    difference["interval"] = IntervalToJson(resampled);
    difference["p"] = PairedPValue(method.rates[rule] - against->rates[rule], resampled);
  }
  return json;
}

Json ToJson(const SafetyReport& report, const Side& method, const Side* against) {
  Json json = {{"samples", report.method.size()}};
  for (size_t i = 0; i < report.rules.size(); ++i) {
    Json& entry = json["rules"][report.rules[i].id];
    entry = RuleToJson(method, against, i);
    entry["severity"] = SeverityWord(report.rules[i].severity);
  }
  json["any"] = RuleToJson(method, against, report.rules.size());
  json["findings"] = FindingsToJson(report);
  return json;
}

void PrintRow(std::string_view id, std::string_view severity, const Side& method,
              const Side* against, size_t rule, std::ostream& out) {
  out << absl::StrFormat("%-15s%-9s%8d%9.1f", id, severity, method.findings[rule],
                         method.rates[rule]);
  if (against != nullptr) {
    out << absl::StrFormat("%9.1f%+12.1f", against->rates[rule],
                           method.rates[rule] - against->rates[rule]);
    if (!method.resampled.empty()) {
      const Interval interval = PercentileInterval(Differences(method, *against, rule));
      out << absl::StrFormat("  %+.1f .. %+.1f", interval.low, interval.high);
    }
  }
  out << "\n";
}

void PrintTable(const SafetyReport& report, const Side& method, const Side* against,
                std::ostream& out) {
  out << absl::StrFormat("%-15s%-9s%8s%9s", "", "severity", "findings", "in 1,000");
  if (against != nullptr) {
    out << "  against  difference" << (method.resampled.empty() ? "" : "  95 % interval");
  }
  out << "\n";
  for (size_t i = 0; i < report.rules.size(); ++i) {
    PrintRow(report.rules[i].id, SeverityWord(report.rules[i].severity), method, against, i, out);
  }
  PrintRow("any", "", method, against, report.rules.size(), out);
  out << "of " << CountWord(report.method.size()) << " samples\n";
  for (size_t sample = 0; sample < report.method.size(); ++sample) {
    for (const SafetyFinding& finding : report.method[sample]) {
      out << absl::StrFormat("sample %d line %d: %s: %s\n", sample + 1, finding.line,
                             report.rules[finding.rule].finds, finding.code);
    }
  }
}

}  // namespace

void PrintSafetyReport(const SafetyReport& report, Session& session) {
  const Side method = Measure(report.method, report);
  Side against;
  if (!report.against.empty()) against = Measure(report.against, report);
  const Side* other = report.against.empty() ? nullptr : &against;
  if (session.json) {
    PrintJson(session, ToJson(report, method, other));
  } else {
    PrintTable(report, method, other, session.out);
  }
}

}  // namespace ddpt
