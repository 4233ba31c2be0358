#include "deploy/tiny/render.h"

#include <algorithm>

#include "absl/strings/ascii.h"

namespace ddpt::tiny {
namespace {

// The length of the placeholder that starts at text[0] == '@'; 1 when no name follows.
size_t PlaceholderLength(std::string_view text) {
  size_t end = 1;
  while (end < text.size() && absl::ascii_islower(text[end])) ++end;
  if (end == 1) return 1;
  const std::string_view rest = text.substr(end);
  return end + (rest.substr(0, 2) == ".1" || rest.substr(0, 2) == ".2" ? 2 : 0);
}

Placeholder ParsePlaceholder(std::string_view text) {
  const size_t dot = text.find('.');
  if (dot == std::string_view::npos) return {std::string(text.substr(1)), 0};
  return {std::string(text.substr(1, dot - 1)), text[dot + 1] - '0'};
}

}  // namespace

std::vector<Placeholder> Placeholders(std::string_view text) {
  std::vector<Placeholder> found;
  Expand(text, [&](const Placeholder& placeholder) {
    found.push_back(placeholder);
    return std::string();
  });
  return found;
}

std::string Expand(std::string_view text,
                   const std::function<std::string(const Placeholder&)>& value) {
  std::string result;
  while (!text.empty()) {
    const size_t at = std::min(text.find('@'), text.size());
    result.append(text.substr(0, at));
    text.remove_prefix(at);
    if (text.empty()) break;
    const size_t length = PlaceholderLength(text);
    result.append(value(ParsePlaceholder(text.substr(0, length))));
    text.remove_prefix(length);
  }
  return result;
}

std::string Identifier(std::string_view words, Naming naming) {
  std::string result;
  bool starts_word = false;
  for (const char c : words) {
    if (c == ' ') {
      starts_word = true;
      continue;
    }
    if (starts_word && naming == Naming::kSnake) result.push_back('_');
    result.push_back(starts_word && naming == Naming::kCamel ? absl::ascii_toupper(c) : c);
    starts_word = false;
  }
  return result;
}

}  // namespace ddpt::tiny
