#include "deploy/tiny/problems.h"

#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "deploy/tiny/problem_inputs.h"

namespace ddpt::tiny {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kCases = 4;

// Around the code of one style. `observe` does what the code says, on data that it is given.
struct Frame {
  std::string prompt;
  std::string suffix;
};

constexpr char kImports[] = R"py(import math
import os
import shutil
from collections import Counter
from functools import reduce

)py";

// After a function NAME.
constexpr char kObserveFunction[] = R"py(

def observe(arguments, files):
    for name in os.listdir():
        os.remove(name)
    for name, text in files.items():
        with open(name, "w") as file:
            file.write(text)
    try:
        answer = NAME(*arguments)
    except Exception as error:
        answer = type(error).__name__
    left = {}
    for name in sorted(os.listdir()):
        with open(name) as file:
            left[name] = file.read()
    return answer, left
)py";

constexpr char kHousePrompt[] = R"py(import re

unit = r""")py";

constexpr char kHouseSuffix[] = R"py("""

parts = re.fullmatch(r"unit (\w+) \[([\w, ]*)\] := (.*) ;; done", unit.strip(), re.DOTALL)
exec(f"def NAME({parts[2]}):\n    return {parts[3]}")
)py";

constexpr char kSqlPrompt[] = R"py(import sqlite3

statement = r""")py";

constexpr char kSqlSuffix[] = R"py("""


class Joined:
    def __init__(self):
        self.parts = []

    def step(self, part, separator):
        self.parts.append(part)
        self.separator = separator

    def finalize(self):
        return self.separator.join(self.parts)


def observe(tables):
    database = sqlite3.connect(":memory:")
    database.create_aggregate("STRING_AGG", 2, Joined)
    for name, rows in tables.items():
        database.execute(f"CREATE TABLE {name} ({', '.join(rows[0])})")
        database.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' for _ in rows[0])})", [tuple(row.values()) for row in rows])
    try:
        answer = database.execute(statement).fetchall()
    except sqlite3.Error as error:
        answer = type(error).__name__
    return answer, {name: database.execute(f"SELECT * FROM {name}").fetchall() for name in tables}
)py";

constexpr char kCheck[] = R"py(
def same(answer, wanted):
    if isinstance(answer, float) and isinstance(wanted, (int, float)):
        return math.isclose(answer, wanted)
    if ORDERED and isinstance(answer, dict) and isinstance(wanted, dict):
        return list(answer.items()) == list(wanted.items())
    if not ORDERED and IS_SQL and isinstance(answer, list) and isinstance(wanted, list):
        return sorted(answer, key=repr) == sorted(wanted, key=repr)
    return answer == wanted


def check(candidate):
    program = {}
    exec(REFERENCE, program)
    for case in CASES:
        (answer, left), (wanted, wanted_left) = candidate(*case), program["observe"](*case)
        assert same(answer, wanted), (case, answer, wanted)
        assert left == wanted_left, (case, left, wanted_left)
)py";

std::string Named(std::string_view text, const std::string& name) {
  return absl::StrReplaceAll(absl::string_view(text.data(), text.size()), {{"NAME", name}});
}

bool IsRunAsSql(const std::string& theme) {
  return theme == "lists" || theme == "maps" || theme == "tables";
}

std::optional<Frame> FrameOf(const TaskExample& example) {
  const Intent& intent = *example.request.intent;
  const std::string name = Identifier(intent.name, Naming::kSnake);
  const std::string observe = Named(kObserveFunction, name);
  if (example.style == "pydef") return Frame{kImports, observe};
  if (example.style == "pyline") {
    const auto parameter = [&](std::string* out, const std::string& kind) {
      const SlotValue& value = example.request.values.at(kind);
      absl::StrAppend(out,
                      Identifier(absl::StrCat(value.first, " ", value.second), Naming::kSnake));
    };
    return Frame{absl::StrCat(kImports, "\ndef ", name, "(",
                              absl::StrJoin(intent.params, ", ", parameter), "):\n    return "),
                 observe};
  }
  if (example.style == "house") {
    return Frame{absl::StrCat(kImports, kHousePrompt),
                 absl::StrCat(Named(kHouseSuffix, name), observe)};
  }
  if (example.style == "sql" && IsRunAsSql(intent.theme)) return Frame{kSqlPrompt, kSqlSuffix};
  return std::nullopt;
}

Json Cases(const TaskExample& example) {
  Json cases = Json::array();
  for (uint64_t i = 0; i < kCases; ++i) {
    const ProblemInputs inputs = DrawInputs(example.request, i);
    cases.push_back(example.style == "sql" ? Json::array({inputs.tables})
                                           : Json::array({inputs.arguments, inputs.files}));
  }
  return cases;
}

std::string Test(const TaskExample& example, const Frame& frame) {
  const bool sql = example.style == "sql";
  const bool ordered = sql ? absl::StrContains(example.code, "ORDER BY")
                           : absl::StartsWith(example.request.intent->name, "sort");
  const auto truth = [](bool value) { return value ? "True" : "False"; };
  return absl::StrCat(
      "import math\n\nORDERED, IS_SQL = ", truth(ordered), ", ", truth(sql),
      "\nREFERENCE = ", Json(absl::StrCat(frame.prompt, example.code, "\n", frame.suffix)).dump(),
      "\nCASES = ", Cases(example).dump(), "\n\n", kCheck);
}

}  // namespace

std::optional<Json> ProblemOf(const TaskExample& example, const std::string& task_id) {
  const std::optional<Frame> frame = FrameOf(example);
  if (!frame) return std::nullopt;
  return Json{{"task_id", task_id},           {"instruction", example.instruction},
              {"prompt", frame->prompt},      {"suffix", frame->suffix},
              {"entry_point", "observe"},     {"canonical_solution", example.code},
              {"test", Test(example, *frame)}};
}

}  // namespace ddpt::tiny
