#include "client/example_section.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/html.h"
#include "client/output.h"
#include "client/random_choice.h"
#include "core/base/status.h"
#include "core/evaluation/chrf.h"

namespace ddpt {
namespace {

using Example = EvaluationFile::Example;

double ChrfOf(const Example& example, const std::string& contender) {
  const auto code = example.codes.find(contender);
  if (code == example.codes.end()) return 0;
  return Chrf(CountChrf(code->second, example.reference));
}

std::string CodeFigure(const std::string& title, const std::string& code) {
  return absl::StrCat("<figure><figcaption>", EscapeHtml(title), "</figcaption><pre>",
                      EscapeHtml(code), "</pre></figure>\n");
}

// Contenders that gave the same code share its figure.
std::string Codes(const EvaluationFile& evaluation, const Example& example) {
  std::string figures = CodeFigure("reference", example.reference);
  std::vector<std::pair<std::string, std::vector<std::string>>> answers;
  for (const auto& contender : evaluation.contenders) {
    const auto code = example.codes.find(contender.name);
    if (code == example.codes.end()) continue;
    auto same = std::find_if(answers.begin(), answers.end(),
                             [&](const auto& answer) { return answer.first == code->second; });
    if (same == answers.end()) same = answers.insert(answers.end(), {code->second, {}});
    same->second.push_back(contender.name);
  }
  for (const auto& [code, names] : answers) {
    figures += CodeFigure(absl::StrCat(absl::StrJoin(names, ", "),
                                       absl::StrFormat(" (chrF %.2f)", ChrfOf(example, names[0]))),
                          code);
  }
  return figures;
}

std::string Article(const EvaluationFile& evaluation, size_t place, const std::string& title) {
  const Example& example = evaluation.examples[place];
  return absl::StrFormat(
      "<article>\n<h3>%s: example %s</h3>\n<p class=\"instruction\">%s</p>\n"
      "<div class=\"codes\">\n%s</div>\n</article>\n",
      title, CountWord(place + 1), EscapeHtml(example.instruction), Codes(evaluation, example));
}

// The places of all examples, those first where `method` is most chrF above `against`, "": nothing.
std::vector<uint32_t> PlacesByGain(const EvaluationFile& evaluation, const std::string& method,
                                   const std::string& against) {
  std::vector<double> gains;
  for (const Example& example : evaluation.examples) {
    gains.push_back(ChrfOf(example, method) - (against.empty() ? 0 : ChrfOf(example, against)));
  }
  std::vector<uint32_t> places(gains.size());
  std::iota(places.begin(), places.end(), 0);
  std::stable_sort(places.begin(), places.end(),
                   [&](uint32_t a, uint32_t b) { return gains[a] > gains[b]; });
  return places;
}

}  // namespace

absl::StatusOr<std::string> ExamplesSection(const EvaluationFile& evaluation,
                                            const ExampleChoice& choice) {
  if (evaluation.examples.empty() || evaluation.contenders.empty()) return "";
  const std::string& first = evaluation.contenders.front().name;
  const std::string& method =
      choice.method.empty() ? evaluation.contenders.back().name : choice.method;
  if (std::none_of(evaluation.contenders.begin(), evaluation.contenders.end(),
                   [&](const auto& contender) { return contender.name == method; })) {
    return FieldError("method", absl::StrCat("there is no contender \"", method, "\""));
  }
  const std::string against = method == first ? "" : first;
  const std::vector<uint32_t> places = PlacesByGain(evaluation, method, against);
  std::string articles;
  std::set<uint32_t> shown;
  const auto show = [&](const std::vector<uint32_t>& candidates, const std::string& title) {
    uint32_t count = 0;
    for (const uint32_t place : candidates) {
      if (count == choice.count) return;
      if (!shown.insert(place).second) continue;
      articles += Article(evaluation, place, title);
      ++count;
    }
  };
  show(places, "Best");
  show({places.rbegin(), places.rend()}, "Worst");
  show(ChooseAtRandom(static_cast<uint32_t>(places.size()), 3 * choice.count, choice.seed),
       "At random");
  return absl::StrCat("<h2>Examples</h2>\n<p class=\"notes\">Best and worst by the chrF of ",
                      EscapeHtml(method),
                      against.empty() ? "" : absl::StrCat(" above that of ", EscapeHtml(against)),
                      "; at random by seed ", choice.seed,
                      ". Methods that gave the same code share it.</p>\n", articles);
}

}  // namespace ddpt
