#include "core/decoding/self_test.h"

#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "core/decoding/request.h"
#include "core/decoding/scorer.h"
#include "core/model/language_model.h"
#include "core/text/tokenizer.h"

namespace ddpt {
namespace {

struct Snippet {
  const char* instruction;
  const char* code;
};

constexpr Snippet kSnippets[] = {
    {"in a typed python function what is the factorial of 42",
     "def factorial_value() -> int:\n    \"\"\"Factorial value.\"\"\"\n    return "
     "math.factorial(42)"},
    {"in a typed python function get the square root of 98",
     "def square_root() -> float:\n    \"\"\"Square root.\"\"\"\n    return math.sqrt(98)"},
    {"in a typed python function turn 35 celsius into fahrenheit",
     "def celsius_to_fahrenheit() -> float:\n    \"\"\"Celsius to fahrenheit.\"\"\"\n    return 35 "
     "* 9 / 5 + 32"},
    {"in a typed python function write the train name in lower case letters",
     "def lower_case(train_name: str) -> str:\n    \"\"\"Lower case.\"\"\"\n    return "
     "train_name.lower()"},
    {"in a typed python function trim spaces from both ends of the team title",
     "def trim_spaces(team_title: str) -> str:\n    \"\"\"Trim spaces.\"\"\"\n    return "
     "team_title.strip()"},
    {"in a typed python function get the lowest value in the plant costs",
     "def smallest_value(plant_costs: list) -> int:\n    \"\"\"Smallest value.\"\"\"\n    return "
     "min(plant_costs)"},
    {"in one line of python what is 43 modulo 34", "43 % 34"},
    {"in one line of python check whether 54 is an even number", "54 % 2 == 0"},
    {"in one line of python write the member name in upper case letters", "member_name.upper()"},
    {"in one line of python drop duplicates from the member names",
     "list(dict.fromkeys(member_names))"},
    {"in one line of python multiply all plant ages by 35", "[v * 35 for v in plant_ages]"},
    {"in javascript trim spaces from both ends of the team title",
     "function trimSpaces(teamTitle) { return teamTitle.trim() }"},
    {"in javascript drop duplicates from the member names",
     "function uniqueItems(memberNames) { return [...new Set(memberNames)] }"},
    {"in sql get the square root of 98", "SELECT SQRT(98);"},
    {"in sql write the train name in lower case letters", "SELECT LOWER(name) FROM train;"},
    {"in sql get the lowest value in the plant costs", "SELECT MIN(costs) FROM plant;"},
    {"in sql get all team scores greater than 39", "SELECT scores FROM team WHERE scores > 39;"},
    {"in the shell what is 43 modulo 34", "echo $((43 % 34))"},
    {"in the shell get the highest value in the city points", "sort -n city_points.txt | tail -1"},
    {"in the shell drop duplicates from the member names", "sort -u member_names.txt"},
};

// The embedded model needs 0.02 and is refused with its layers in another order; that other models
// of code need less for lines as plain as these is an expectation.
constexpr double kMostNll = 3;

// The same tokens, those at even places after those at odd ones.
std::vector<uint32_t> Shuffled(const std::vector<uint32_t>& ids) {
  std::vector<uint32_t> shuffled;
  for (size_t start : {1, 0}) {
    for (size_t i = start; i < ids.size(); i += 2) shuffled.push_back(ids[i]);
  }
  return shuffled;
}

double MeanNll(const std::vector<Score>& scores) {
  double sum = 0, tokens = 0;
  for (const Score& score : scores) {
    sum += score.nll_sum;
    tokens += static_cast<double>(score.token_logprobs.size());
  }
  return sum / tokens;
}

}  // namespace

absl::StatusOr<SelfTestResult> SelfTest(const LanguageModel& model, const Tokenizer& tokenizer) {
  constexpr size_t kWidth = 8;
  std::vector<PromptedRequest> requests;
  std::vector<std::vector<uint32_t>> answers, shuffled;
  for (const Snippet& snippet : kSnippets) {
    PromptedRequest request;
    DDPT_ASSIGN_OR_RETURN(
        request.instruction_ids,
        EncodeInstruction(tokenizer, model.geometry().habits, snippet.instruction));
    requests.push_back(std::move(request));
    DDPT_ASSIGN_OR_RETURN(auto answer, tokenizer.Encode(snippet.code));
    shuffled.push_back(Shuffled(answer));
    answers.push_back(std::move(answer));
  }
  DDPT_ASSIGN_OR_RETURN(const auto scores, ScoreAll(model, requests, answers, kWidth));
  DDPT_ASSIGN_OR_RETURN(const auto disordered, ScoreAll(model, requests, shuffled, kWidth));
  SelfTestResult result{.nll = MeanNll(scores), .shuffled_nll = MeanNll(disordered)};
  result.uniform_nll = std::log(static_cast<double>(model.geometry().vocabulary_size));
  result.plausible = result.nll < kMostNll && result.nll < result.shuffled_nll;
  return result;
}

}  // namespace ddpt
