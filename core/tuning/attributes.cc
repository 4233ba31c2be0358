#include "core/tuning/attributes.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

absl::Status CheckText(const char* what, const std::string& text, bool (*allowed)(unsigned char),
                       const char* wanted) {
  if (!text.empty() && text.size() <= kMaxAttributeBytes && std::ranges::all_of(text, allowed)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("the ", what, " \"", absl::CHexEscape(text.substr(0, kMaxAttributeBytes)),
                   "\" of ", text.size(), " bytes is not 1..", kMaxAttributeBytes, wanted));
}

}  // namespace

absl::Status ValidateAttributes(const Attributes& attributes) {
  if (attributes.size() > kMaxAttributes) {
    return absl::InvalidArgumentError(
        absl::StrCat(attributes.size(), " are above the limit of ", kMaxAttributes));
  }
  for (const auto& [name, value] : attributes) {
    DDPT_RETURN_IF_ERROR(CheckText(
        "name", name,
        [](unsigned char c) { return absl::ascii_isalnum(c) || c == '_' || c == '.' || c == '-'; },
        " of [A-Za-z0-9_.-]"));
    DDPT_RETURN_IF_ERROR(CheckText(
        "value", value, [](unsigned char c) { return !absl::ascii_iscntrl(c); },
        " bytes without control characters"));
  }
  return absl::OkStatus();
}

std::string AttributeText(const Attributes& attributes) {
  std::string text;
  for (const auto& [name, value] : attributes) absl::StrAppend(&text, name, ": ", value, "\n");
  return text;
}

std::string JoinNames(const std::set<std::string>& names) { return absl::StrJoin(names, ","); }

std::set<std::string> SplitNames(std::string_view joined) {
  return absl::StrSplit(Piece(joined), ',', absl::SkipEmpty());
}

}  // namespace ddpt
