#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "deploy/tiny/corpus.h"

namespace ddpt::tiny {

// The code that a task wants for one theme of instructions.
struct Wanted {
  std::string style;
  std::optional<Convention> convention;  // none: drawn anew for each example
};

// A prompt-tuning task: instructions that do not say which style is wanted, and code in that style.
struct Task {
  std::string name;
  std::string description;
  std::map<std::string, Wanted> wanted;  // by theme
  // Wordings of a user, to be put in front of the instruction in the encoder.
  std::array<std::string, 3> manual;
};

struct TaskExample {
  std::string instruction;
  std::string code;
  // The instruction for an encoder that is told the style in the corpus's own words; where the
  // style has none, the instruction itself. Conventions inside a style cannot be told this way.
  std::string oracle_text;
  // The instruction behind a line of code in the style and conventions wanted (of another request):
  // what showing, rather than telling, achieves.
  std::string shown_text;
  Request request;
  std::string style;  // of the code
};

// The tasks of `tasks.json`. Immutable and thread-safe; nothing blocks but Load.
class TaskSet {
 public:
  // INVALID_ARGUMENT names the task and what is wrong: an unknown style, a theme left out, a
  // convention outside the style's lists.
  static absl::StatusOr<std::unique_ptr<TaskSet>> Load(std::shared_ptr<const Corpus> corpus,
                                                       const std::string& folder);

  const std::vector<Task>& tasks() const { return tasks_; }
  // Null where there is no such task.
  const Task* Find(std::string_view name) const;

  // The examples of one split, all instructions distinct, every intent equally often. They depend
  // on task and split alone, and tasks differ in their code only. With `skip`, as many others:
  // those that follow the first `skip` examples of the split (fewer where its phrasings and slots
  // end).
  std::vector<TaskExample> Examples(const Task& task, Split split, size_t skip = 0) const;

 private:
  TaskSet(std::shared_ptr<const Corpus> corpus, std::vector<Task> tasks,
          std::array<size_t, 3> counts)
      : corpus_(std::move(corpus)), tasks_(std::move(tasks)), counts_(counts) {}

  TaskExample Build(const Task& task, const Request& request, Draws& draws) const;

  std::shared_ptr<const Corpus> corpus_;
  std::vector<Task> tasks_;
  std::array<size_t, 3> counts_;  // examples by split
};

}  // namespace ddpt::tiny
