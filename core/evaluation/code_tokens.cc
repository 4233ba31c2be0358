#include "core/evaluation/code_tokens.h"

#include <algorithm>
#include <utility>

#include "core/evaluation/words.h"

namespace ddpt {
namespace {

// The lines of code, for cutting by characters.
class Lines {
 public:
  explicit Lines(std::string_view code) {
    for (size_t begin = 0; begin <= code.size();) {
      const size_t end = std::min(code.find('\n', begin), code.size());
      const std::string_view text = code.substr(begin, end - begin);
      lines_.push_back({text, StartsOf(text)});
      begin = end + 1;
    }
  }

  // Characters `from` to before `to` of a line, as far as it has them.
  std::string_view Cut(uint32_t line, size_t from, size_t to) const {
    const std::string_view text = lines_[line].text;
    const std::vector<uint32_t>& starts = lines_[line].starts;
    const auto byte = [&](size_t character) {
      return starts.empty() ? std::min(character, text.size())
                            : size_t{starts[std::min(character, starts.size() - 1)]};
    };
    return text.substr(byte(from), byte(to) - byte(from));
  }

 private:
  struct Line {
    std::string_view text;
    std::vector<uint32_t> starts;  // of each character and of the end; empty: all are ASCII
  };

  static std::vector<uint32_t> StartsOf(std::string_view text) {
    std::vector<uint32_t> starts;
    if (std::all_of(text.begin(), text.end(), [](char c) { return c >= 0; })) return starts;
    for (size_t byte = 0; byte < text.size(); byte += FirstChar(text.substr(byte)).length) {
      starts.push_back(static_cast<uint32_t>(byte));
    }
    starts.push_back(static_cast<uint32_t>(text.size()));
    return starts;
  }

  std::vector<Line> lines_;
};

std::string TextOf(const SyntaxNode& node, const Lines& lines) {
  const auto [first, last] = std::pair(node.first, node.last);
  if (first.line == last.line) {
    return std::string(lines.Cut(first.line, first.column, std::max(first.column, last.column)));
  }
  std::string text(lines.Cut(first.line, first.column, std::string_view::npos));
  for (uint32_t line = first.line + 1; line < last.line; ++line) {
    text += lines.Cut(line, 0, std::string_view::npos);
  }
  text += lines.Cut(last.line, 0, last.column);
  return text;
}

}  // namespace

bool IsToken(const SyntaxNode& node) {
  return (node.children == 0 || node.kind == "string" || node.kind == "string_literal" ||
          node.kind == "character_literal") &&
         node.kind != "comment";
}

TreeTokens TokensOf(const SyntaxTree& tree, std::string_view code) {
  const std::vector<SyntaxNode>& nodes = tree.nodes();
  const Lines lines(code);
  TreeTokens found;
  std::vector<std::pair<uint32_t, uint32_t>> spots;
  // first[node] is the number of tokens before it, past[node] that before what follows it.
  found.first.resize(nodes.size() + 1);
  for (uint32_t node = 0; node < nodes.size();) {
    const uint32_t next = IsToken(nodes[node]) ? nodes[node].past : node + 1;
    const auto before = static_cast<uint32_t>(found.tokens.size());
    found.first[node] = before;
    if (IsToken(nodes[node])) {
      std::string text = TextOf(nodes[node], lines);
      const bool variable = text != nodes[node].kind;
      found.tokens.push_back({std::move(text), variable, before});
      spots.push_back({nodes[node].begin, nodes[node].end});
    }
    std::fill(found.first.begin() + node + 1, found.first.begin() + next, before);
    node = next;
  }
  found.first.back() = static_cast<uint32_t>(found.tokens.size());
  found.past.reserve(nodes.size());
  for (size_t i = spots.size(); i-- > 1;) {
    if (spots[i - 1] == spots[i]) found.tokens[i - 1].place = found.tokens[i].place;
  }
  for (const SyntaxNode& node : nodes) found.past.push_back(found.first[node.past]);
  found.first.pop_back();
  return found;
}

}  // namespace ddpt
