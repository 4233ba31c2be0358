#include "deploy/tiny/tasks.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status.h"

namespace ddpt::tiny {
namespace {

using nlohmann::json;

constexpr uint64_t kFileLimit = 1 << 20;
constexpr uint32_t kTaskStage = 32;   // + split
constexpr uint32_t kShownStage = 48;  // + split

Wanted ParseWanted(const std::string& style, const json& source) {
  Wanted wanted{.style = style, .convention = {}};
  if (source.contains("convention")) {
    const json& choice = source["convention"];
    wanted.convention = {.frame = choice.at("frame"),
                         .quote = choice.at("quote"),
                         .naming = choice.at("naming"),
                         .end = choice.at("end")};
  }
  return wanted;
}

Task ParseTask(const json& source, const Definition& definition) {
  Task task{.name = source.at("name"),
            .description = source.at("description"),
            .wanted = {},
            .manual = source.at("manual")};
  for (const Intent& intent : definition.intents) {
    const json& style =
        source.contains("style") ? source["style"] : source.at("themes").at(intent.theme);
    task.wanted[intent.theme] = ParseWanted(style, source);
  }
  return task;
}

absl::Status CheckTask(const Task& task, const Definition& definition) {
  for (const auto& [theme, wanted] : task.wanted) {
    const auto style = definition.styles.find(wanted.style);
    if (style == definition.styles.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("task ", task.name, ": unknown style \"", wanted.style, "\""));
    }
    const Convention choice = wanted.convention.value_or(Convention{});
    const Style& lists = style->second;
    if (choice.frame >= lists.frames.size() || choice.quote >= lists.quotes.size() ||
        choice.naming >= lists.namings.size() || choice.end >= lists.ends.size()) {
      return absl::InvalidArgumentError(
          absl::StrCat("task ", task.name, ": a convention outside style ", wanted.style));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<TaskSet>> TaskSet::Load(std::shared_ptr<const Corpus> corpus,
                                                       const std::string& folder) {
  DDPT_ASSIGN_OR_RETURN(const std::string text, ReadFile(folder + "/tasks.json", kFileLimit));
  try {
    const json source = json::parse(text);
    std::array<size_t, 3> counts;
    for (const Split split : kSplits) {
      counts[static_cast<size_t>(split)] =
          source.at("examples").at(std::string(SplitName(split))).get<size_t>();
    }
    std::vector<Task> tasks;
    for (const json& entry : source.at("tasks")) {
      tasks.push_back(ParseTask(entry, corpus->definition()));
      DDPT_RETURN_IF_ERROR(CheckTask(tasks.back(), corpus->definition()));
    }
    return std::unique_ptr<TaskSet>(new TaskSet(std::move(corpus), std::move(tasks), counts));
  } catch (const json::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat("tasks in ", folder, ": ", error.what()));
  }
}

const Task* TaskSet::Find(std::string_view name) const {
  const auto task = std::ranges::find(tasks_, name, &Task::name);
  return task == tasks_.end() ? nullptr : &*task;
}

std::vector<TaskExample> TaskSet::Examples(const Task& task, Split split, size_t skip) const {
  const std::vector<Intent>& intents = corpus_->definition().intents;
  const size_t count = skip + counts_[static_cast<size_t>(split)];
  std::vector<TaskExample> examples;
  std::set<std::string> seen;
  for (uint64_t i = 0; examples.size() < count && i < 100 * count; ++i) {
    const NoiseKey key{.sample = i, .stage = kTaskStage + static_cast<uint32_t>(split)};
    Draws draws(key);
    const Intent& intent = intents[examples.size() % intents.size()];
    const Request request = corpus_->DrawRequest(intent, split, draws);
    if (!seen.insert(request.instruction).second) continue;
    Draws own({.sample = i, .stage = kShownStage + static_cast<uint32_t>(split)});
    examples.push_back(Build(task, request, own));
  }
  examples.erase(examples.begin(), examples.begin() + std::min(skip, examples.size()));
  return examples;
}

TaskExample TaskSet::Build(const Task& task, const Request& request, Draws& draws) const {
  const Definition& definition = corpus_->definition();
  const Wanted& wanted = task.wanted.at(request.intent->theme);
  const Style& style = definition.styles.at(wanted.style);
  const Convention convention =
      wanted.convention ? *wanted.convention : corpus_->DrawConvention(style, draws);
  const Request other = corpus_->DrawRequest(draws.Of(definition.intents), Split::kTrain, draws);
  const std::string telling = style.before.empty() ? "" : style.before.front();
  return {.instruction = request.instruction,
          .code = corpus_->Code(request, style, convention),
          .oracle_text = absl::StrCat(telling, request.instruction),
          .shown_text =
              absl::StrCat(corpus_->Code(other, style, convention), "\n", request.instruction),
          .request = request,
          .style = wanted.style};
}

}  // namespace ddpt::tiny
