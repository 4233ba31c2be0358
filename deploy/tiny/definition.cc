#include "deploy/tiny/definition.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/philox.h"
#include "core/base/status.h"

namespace ddpt::tiny {
namespace {

using nlohmann::json;

constexpr uint64_t kFileLimit = 1 << 20;
constexpr uint32_t kSplitStage = 1;

// Of ten values, one is for validation and two are for the test.
Split SplitOf(uint64_t value) {
  const uint32_t bucket = PhiloxBlock({.sample = value, .stage = kSplitStage}, 0)[0] % 10;
  if (bucket == 0) return Split::kValidation;
  return bucket <= 2 ? Split::kTest : Split::kTrain;
}

// A list, or "@name" of a list that stands under "pieces".
std::vector<std::string> ParsePieces(const json& list, const json& pieces) {
  if (list.is_string()) return pieces.at(list.get<std::string>().substr(1));
  return list;
}

SlotKind ParseKind(const json& source, const json& pieces) {
  SlotKind kind;
  if (source.contains("join")) kind.join = source["join"].get<std::string>();
  kind.type = source.value("type", "");
  uint64_t value = 0;
  for (const std::string& first : ParsePieces(source.at("first"), pieces)) {
    for (const std::string& second : ParsePieces(source.at("second"), pieces)) {
      kind.values[static_cast<size_t>(SplitOf(value++))].push_back({first, second});
    }
  }
  return kind;
}

Style ParseStyle(const json& source) {
  using Strings = std::vector<std::string>;
  Style style;
  style.weight = source.at("weight");
  style.shown = source.at("shown");
  style.frames = source.at("frames").get<Strings>();
  style.quotes = source.value("quotes", Strings{"'"});
  for (const std::string& naming : source.value("namings", Strings{"snake"})) {
    style.namings.push_back(naming == "camel" ? Naming::kCamel : Naming::kSnake);
  }
  style.ends = source.value("ends", Strings{""});
  style.before = source.value("before", Strings{});
  style.after = source.value("after", Strings{});
  return style;
}

Intent ParseIntent(const json& source, const std::string& theme) {
  Intent intent;
  intent.theme = theme;
  for (const auto& [key, value] : source.items()) {
    if (key == "name") {
      intent.name = value;
    } else if (key == "returns") {
      intent.returns = value;
    } else if (value.is_array()) {
      const auto split = std::ranges::find(kSplits, key, SplitName);
      if (split != kSplits.end()) intent.phrasings[static_cast<size_t>(*split)] = value;
    } else {
      intent.code[key] = value;
    }
  }
  intent.code.try_emplace("body", absl::StrCat("return ", intent.code["py"]));
  return intent;
}

// Collects the slot kinds that the intent uses, and its parameters.
absl::Status ResolveSlots(const std::map<std::string, SlotKind>& kinds, Intent& intent) {
  std::set<std::string> used;
  const auto use = [&](const std::string& text) -> absl::Status {
    for (const Placeholder& slot : Placeholders(text)) {
      if (!kinds.contains(slot.name)) {
        return absl::InvalidArgumentError(absl::StrCat(
            "intent \"", intent.name, "\": unknown slot @", slot.name, " in \"", text, "\""));
      }
      if (!used.insert(slot.name).second) continue;
      intent.kinds.push_back(slot.name);
      if (!kinds.at(slot.name).type.empty()) intent.params.push_back(slot.name);
    }
    return absl::OkStatus();
  };
  DDPT_RETURN_IF_ERROR(use(intent.code["py"]));
  for (const auto& [name, text] : intent.code) DDPT_RETURN_IF_ERROR(use(text));
  for (const auto& phrasings : intent.phrasings) {
    if (phrasings.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("intent \"", intent.name, "\" has a split without phrasings"));
    }
    for (const std::string& text : phrasings) DDPT_RETURN_IF_ERROR(use(text));
  }
  return absl::OkStatus();
}

absl::StatusOr<json> LoadJson(const std::string& path) {
  DDPT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kFileLimit));
  return json::parse(text);
}

absl::Status LoadIntents(const std::string& path, Definition& definition) {
  DDPT_ASSIGN_OR_RETURN(const json source, LoadJson(path));
  for (const json& entry : source.at("intents")) {
    Intent intent = ParseIntent(entry, source.at("theme"));
    DDPT_RETURN_IF_ERROR(Annotate(ResolveSlots(definition.kinds, intent), path));
    definition.intents.push_back(std::move(intent));
  }
  return absl::OkStatus();
}

absl::StatusOr<Definition> LoadOrThrow(const std::string& folder) {
  DDPT_ASSIGN_OR_RETURN(const json source, LoadJson(folder + "/corpus.json"));
  Definition definition;
  const json& shares = source.at("shares");
  definition.shares = {shares.at("silent"), shares.at("encoder"), shares.at("shown_alone")};
  for (const auto& [name, kind] : source.at("slots").items()) {
    definition.kinds[name] = ParseKind(kind, source.at("pieces"));
    for (const auto& values : definition.kinds[name].values) {
      if (values.size() < 2) {
        return absl::InvalidArgumentError(
            absl::StrCat(folder, ": slot kind \"", name, "\" has a split of fewer than 2 values"));
      }
    }
  }
  for (const auto& [name, style] : source.at("styles").items()) {
    definition.styles[name] = ParseStyle(style);
  }
  for (const std::string theme : source.at("themes")) {
    DDPT_RETURN_IF_ERROR(
        LoadIntents(absl::StrCat(folder, "/intents/", theme, ".json"), definition));
  }
  return definition;
}

}  // namespace

std::string_view SplitName(Split split) {
  constexpr std::array<std::string_view, 3> kNames = {"train", "validation", "test"};
  return kNames[static_cast<size_t>(split)];
}

absl::StatusOr<Definition> Definition::Load(const std::string& folder) {
  try {
    return LoadOrThrow(folder);
  } catch (const json::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat("corpus in ", folder, ": ", error.what()));
  }
}

}  // namespace ddpt::tiny
