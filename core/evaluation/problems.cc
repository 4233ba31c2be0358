#include "core/evaluation/problems.h"

#include <functional>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/file.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

using Json = nlohmann::json;

// An object of one line, and the place of its faults.
class Line {
 public:
  Line(const std::string& path, size_t number, const Json& object)
      : place_(absl::StrCat(path, " line ", number)), object_(object) {}

  absl::Status Fault(const std::string& field, const std::string& problem) const {
    return absl::InvalidArgumentError(absl::StrCat(place_, ", field '", field, "': ", problem));
  }

  absl::StatusOr<std::string> Text(const std::string& field, size_t limit = kMaxTextBytes) const {
    const auto found = object_.find(field);
    if (found == object_.end()) return Fault(field, "is missing");
    if (!found->is_string()) return Fault(field, "is not a string");
    const auto& text = found->get_ref<const std::string&>();
    if (text.size() > limit) {
      return Fault(field, absl::StrCat(text.size(), " bytes are above the limit of ", limit));
    }
    return text;
  }

  absl::StatusOr<std::string> TextOr(const std::string& field, const std::string& other) const {
    return object_.contains(field) && !object_[field].is_null() ? Text(field) : other;
  }

  absl::StatusOr<std::string> TaskId() const {
    DDPT_ASSIGN_OR_RETURN(std::string task_id, Text("task_id", kMaxTaskIdBytes));
    if (task_id.empty()) return Fault("task_id", "is empty");
    return task_id;
  }

 private:
  std::string place_;
  const Json& object_;
};

absl::Status ForEachLine(const std::string& path, size_t limit,
                         const std::function<absl::Status(const Line&)>& read) {
  DDPT_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path, kMaxProblemFileBytes));
  size_t number = 0, objects = 0;
  for (const absl::string_view text : absl::StrSplit(bytes, '\n')) {
    ++number;
    if (text.find_first_not_of(" \t\r") == text.npos) continue;
    const Json object = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
    if (!object.is_object()) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, " line ", number, ": is not a JSON object"));
    }
    if (++objects > limit) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, " line ", number, ": more than ", limit, " lines"));
    }
    DDPT_RETURN_IF_ERROR(read(Line(path, number, object)));
  }
  if (objects == 0) return absl::InvalidArgumentError(absl::StrCat(path, ": has no lines"));
  return absl::OkStatus();
}

absl::StatusOr<Problem> ReadProblem(const Line& line) {
  Problem problem;
  DDPT_ASSIGN_OR_RETURN(problem.task_id, line.TaskId());
  DDPT_ASSIGN_OR_RETURN(problem.prompt, line.Text("prompt"));
  DDPT_ASSIGN_OR_RETURN(problem.instruction, line.TextOr("instruction", problem.prompt));
  DDPT_ASSIGN_OR_RETURN(problem.suffix, line.TextOr("suffix", ""));
  DDPT_ASSIGN_OR_RETURN(problem.entry_point, line.Text("entry_point"));
  DDPT_ASSIGN_OR_RETURN(problem.test, line.Text("test"));
  DDPT_ASSIGN_OR_RETURN(problem.canonical_solution, line.TextOr("canonical_solution", ""));
  if (problem.instruction.empty())
    return line.Fault("prompt", "is empty, and no instruction is there");
  if (problem.entry_point.empty()) return line.Fault("entry_point", "is empty");
  return problem;
}

}  // namespace

std::string ProgramOf(const Problem& problem, std::string_view completion) {
  return absl::StrCat(problem.prompt, Piece(completion), "\n", problem.suffix);
}

absl::StatusOr<std::vector<Problem>> ReadProblems(const std::string& path) {
  std::vector<Problem> problems;
  std::set<std::string> seen;
  DDPT_RETURN_IF_ERROR(ForEachLine(path, kMaxProblems, [&](const Line& line) -> absl::Status {
    DDPT_ASSIGN_OR_RETURN(Problem problem, ReadProblem(line));
    if (!seen.insert(problem.task_id).second) {
      return line.Fault("task_id", absl::StrCat("\"", problem.task_id, "\" is there twice"));
    }
    problems.push_back(std::move(problem));
    return absl::OkStatus();
  }));
  return problems;
}

absl::StatusOr<std::vector<Completion>> ReadCompletions(const std::string& path,
                                                        const std::vector<Problem>& problems) {
  std::set<std::string> known;
  for (const Problem& problem : problems) known.insert(problem.task_id);
  std::vector<Completion> completions;
  DDPT_RETURN_IF_ERROR(ForEachLine(path, kMaxCompletions, [&](const Line& line) -> absl::Status {
    DDPT_ASSIGN_OR_RETURN(std::string task_id, line.TaskId());
    DDPT_ASSIGN_OR_RETURN(std::string completion, line.Text("completion"));
    if (!known.contains(task_id)) {
      return line.Fault("task_id", absl::StrCat("\"", task_id, "\" is that of no problem"));
    }
    completions.push_back({std::move(task_id), std::move(completion)});
    return absl::OkStatus();
  }));
  return completions;
}

}  // namespace ddpt
