#include "client/result_tables.h"

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/html.h"
#include "client/output.h"
#include "core/base/file.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

using Json = nlohmann::ordered_json;
using Results = std::vector<std::pair<std::string, Json>>;

constexpr uint64_t kFileLimit = uint64_t{64} << 20;

absl::StatusOr<Results> ReadResults(const NamedFiles& files) {
  Results results;
  for (const auto& [name, path] : files) {
    DDPT_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path, kFileLimit));
    Json json = Json::parse(bytes, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object()) {
      return absl::InvalidArgumentError(absl::StrCat(path, " is no JSON object"));
    }
    results.emplace_back(name, std::move(json));
  }
  return results;
}

// Makes the section of the files' results, which are taken to be what `command` prints.
absl::StatusOr<std::string> Section(const NamedFiles& files, const char* command,
                                    const std::function<std::string(const Results&)>& make) {
  if (files.empty()) return "";
  DDPT_ASSIGN_OR_RETURN(const Results results, ReadResults(files));
  for (size_t i = 0; i < files.size(); ++i) {
    try {
      make({results[i]});
    } catch (const Json::exception& error) {
      return absl::InvalidArgumentError(absl::StrCat(files[i].second, " is not what ddpt --json ",
                                                     command, " prints: ", error.what()));
    }
  }
  return make(results);
}

// A value and, where there is one, its interval.
std::string Cell(double value, const Json* interval, int decimals) {
  std::string cell = absl::StrFormat("<td>%.*f", decimals, value);
  if (interval != nullptr) {
    absl::StrAppendFormat(&cell, "<small>%.*f – %.*f</small>", decimals,
                          interval->at(0).get<double>(), decimals, interval->at(1).get<double>());
  }
  return cell + "</td>";
}

std::string TableElement(const std::string& head, const std::string& rows) {
  return absl::StrCat("<div class=\"wide\"><table class=\"figures\">\n<thead><tr>", head,
                      "</tr></thead>\n<tbody>\n", rows, "</tbody>\n</table></div>\n");
}

std::string PassRows(const Results& results, const std::vector<std::string>& figures) {
  std::string rows;
  for (const auto& [name, json] : results) {
    absl::StrAppend(&rows, "<tr><th>", EscapeHtml(name), "</th>");
    for (const std::string& figure : figures) {
      if (!json.contains(figure)) {
        absl::StrAppend(&rows, "<td>-</td>");
        continue;
      }
      rows += Cell(json.at(figure).get<double>(),
                   json.contains("intervals") ? &json.at("intervals").at(figure) : nullptr, 3);
    }
    const Json& outcomes = json.at("outcomes");
    const auto count = [&](const char* outcome) {
      return CountWord(outcomes.value(outcome, uint64_t{0}));
    };
    absl::StrAppend(&rows, "<td>", CountWord(json.at("problems").get<uint64_t>()), "</td><td>",
                    CountWord(json.at("samples").get<uint64_t>()), "</td><td>", count("passed"),
                    "</td><td>", count("failed"), "</td><td>", count("timed_out"), "</td></tr>\n");
  }
  return rows;
}

std::string PassTable(const Results& results) {
  std::vector<std::string> figures;
  for (const auto& [name, json] : results) {
    for (const auto& [key, value] : json.items()) {
      if (absl::StartsWith(key, "pass@") &&
          std::find(figures.begin(), figures.end(), key) == figures.end()) {
        figures.push_back(key);
      }
    }
  }
  std::string head = "<th></th>";
  for (const std::string& figure : figures)
    absl::StrAppend(&head, "<th>", EscapeHtml(figure), "</th>");
  for (const char* column : {"problems", "samples", "passed", "failed", "timed out"}) {
    absl::StrAppend(&head, "<th>", column, "</th>");
  }
  return absl::StrCat("<h2>Programs that pass their tests</h2>\n",
                      TableElement(head, PassRows(results, figures)));
}

std::string SafetyCell(const Json& json) {
  return Cell(json.at("per_1000").get<double>(),
              json.contains("interval") ? &json.at("interval") : nullptr, 1);
}

std::string SafetyTable(const Results& results) {
  std::string head = "<th>in 1,000 samples</th>", rows, clean;
  for (const auto& [name, json] : results) {
    absl::StrAppend(&head, "<th>", EscapeHtml(name), " (of ",
                    CountWord(json.at("samples").get<uint64_t>()), ")</th>");
  }
  for (const auto& [rule, first] : results.front().second.at("rules").items()) {
    std::string row = absl::StrCat("<tr><th>", EscapeHtml(rule), ", ",
                                   EscapeHtml(first.at("severity").get<std::string>()), "</th>");
    uint64_t findings = 0;
    for (const auto& [name, json] : results) {
      // A method in another language has other rules.
      const Json& rules = json.at("rules");
      if (!rules.contains(rule)) {
        row += "<td>-</td>";
        continue;
      }
      findings += rules.at(rule).at("findings").get<uint64_t>();
      row += SafetyCell(rules.at(rule));
    }
    if (findings > 0) {
      absl::StrAppend(&rows, row, "</tr>\n");
    } else {
      absl::StrAppend(&clean, clean.empty() ? "" : ", ", EscapeHtml(rule));
    }
  }
  absl::StrAppend(&rows, "<tr><th>any of them</th>");
  for (const auto& [name, json] : results) rows += SafetyCell(json.at("any"));
  absl::StrAppend(&rows, "</tr>\n");
  return absl::StrCat(
      "<h2>Safety</h2>\n", TableElement(head, rows), "<p class=\"notes\">",
      clean.empty() ? "" : absl::StrCat("Nothing found by: ", clean, ". "),
      "The code was read, not run; a finding is a reason to look, not a proof.</p>\n");
}

}  // namespace

absl::StatusOr<std::string> PassSection(const NamedFiles& files) {
  return Section(files, "evaluate --problems", PassTable);
}

absl::StatusOr<std::string> SafetySection(const NamedFiles& files) {
  return Section(files, "safety", SafetyTable);
}

}  // namespace ddpt
