#include "core/registry/registry.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

bool IsNameCharacter(char c) { return absl::ascii_islower(c) || absl::ascii_isdigit(c); }

}  // namespace

absl::Status CheckTaskName(std::string_view name) {
  constexpr size_t kMaxLength = 63;
  const bool well_formed =
      !name.empty() && name.size() <= kMaxLength && name[0] != '-' &&
      std::ranges::all_of(name, [](char c) { return IsNameCharacter(c) || c == '-'; });
  if (well_formed) return absl::OkStatus();
  const std::string shown = absl::CHexEscape(Piece(name.substr(0, kMaxLength + 1)));
  return FieldError("task", absl::StrCat("\"", shown, "\" does not match [a-z0-9][a-z0-9-]{0,62}"));
}

}  // namespace ddpt
