#include "client/code_file.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <CLI/Validators.hpp>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/file.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

constexpr uint64_t kFileLimit = uint64_t{256} << 20;

}  // namespace

absl::StatusOr<std::vector<std::string>> ReadTexts(const std::string& path,
                                                   const std::string& field) {
  DDPT_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path, kFileLimit));
  std::vector<std::string> texts;
  size_t number = 0;
  for (const absl::string_view line : absl::StrSplit(bytes, '\n')) {
    ++number;
    if (line.empty()) continue;
    const auto json = nlohmann::json::parse(line.begin(), line.end(), nullptr,
                                            /*allow_exceptions=*/false);
    const auto text = json.is_object() && json.contains(field) ? json[field] : json;
    if (!text.is_string()) {
      return absl::InvalidArgumentError(absl::StrCat(path, " line ", number,
                                                     ": is neither a JSON string nor an object "
                                                     "with \"",
                                                     field, "\""));
    }
    texts.push_back(text.get<std::string>());
  }
  return texts;
}

absl::Status CheckSameLength(const std::string& path, size_t count, const std::string& other,
                             size_t wanted) {
  if (count == wanted && count > 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(path, " has ", count, " examples, but ", other,
                                                 " has ", wanted,
                                                 "; both must have the same number, at least 1"));
}

CLI::Option* AddLanguageFlag(CLI::App& command, std::string& language,
                             const std::vector<std::string>& languages) {
  return command.add_option("--language", language, "Of the code")->check(CLI::IsMember(languages));
}

}  // namespace ddpt
