#include "core/evaluation/code_comments.h"

#include <algorithm>
#include <vector>

#include "core/evaluation/words.h"

namespace ddpt {
namespace {

constexpr size_t kNone = std::string_view::npos;

// For each place, where a string that goes on there ends: behind the next `quote` with no backslash
// before it, or kNone.
std::vector<size_t> StringEnds(std::string_view code, char quote) {
  std::vector<size_t> ends(code.size() + 2, kNone);
  for (size_t i = code.size(); i-- > 0;) {
    if (code[i] == quote) {
      ends[i] = i + 1;
    } else if (code[i] == '\\') {
      // The character behind it, of which further bytes are no quotes.
      ends[i] = ends[i + 2];
    } else {
      ends[i] = ends[i + 1];
    }
  }
  return ends;
}

// As it is done for all languages with C's comments.
std::string WithoutSlashComments(std::string_view code) {
  const std::vector<size_t> singles = StringEnds(code, '\''), doubles = StringEnds(code, '"');
  const size_t last_close = code.rfind("*/");
  std::string kept;
  for (size_t i = 0; i < code.size();) {
    const std::string_view rest = code.substr(i);
    size_t end = kNone;  // of what is kept or left out as a whole
    bool comment = true;
    if (rest.starts_with("//")) {
      end = std::min(code.find('\n', i), code.size());
    } else if (rest.starts_with("/*") && last_close != kNone && last_close >= i + 2) {
      end = code.find("*/", i + 2) + 2;
    } else if (rest[0] == '\'' || rest[0] == '"') {
      comment = false;
      end = (rest[0] == '"' ? doubles : singles)[i + 1];
    }
    if (end == kNone) {
      kept += code[i++];
    } else {
      kept += comment ? std::string_view(" ") : code.substr(i, end - i);
      i = end;
    }
  }
  return kept;
}

}  // namespace

std::string WithoutBlankLines(std::string_view text) {
  std::string kept;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    if (!WithoutTrailingSpace(line).empty()) {
      if (!kept.empty()) kept += '\n';
      kept += line;
    }
    begin = end + 1;
  }
  return kept;
}

std::string WithoutComments(std::string_view code, CodeLanguage language) {
  if (language == CodeLanguage::kPython) {
    return WithoutPythonComments(code).value_or(std::string(code));
  }
  return WithoutBlankLines(WithoutSlashComments(code));
}

}  // namespace ddpt
