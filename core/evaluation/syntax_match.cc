#include "core/evaluation/syntax_match.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "core/text/unicode.h"

namespace ddpt {
namespace {

// A child as its parent's S-expression shows it.
struct Part {
  std::string_view field;
  uint32_t number;
};

// Numbers S-expressions, equal ones alike, from the leaves up.
class Numbering {
 public:
  // Of each node of the tree that its parent shows, or that is a subtree to be matched.
  std::vector<uint32_t> Number(const SyntaxTree& tree, std::string_view code) {
    const std::vector<SyntaxNode>& nodes = tree.nodes();
    std::vector<uint32_t> numbers(nodes.size());
    // Unnamed nodes are not shown, but their children are in their place.
    absl::flat_hash_map<uint32_t, std::vector<Part>> unnamed;
    absl::flat_hash_map<uint32_t, std::vector<const HiddenToken*>> hidden;
    for (const HiddenToken& token : tree.hidden()) hidden[token.parent].push_back(&token);
    std::vector<Part> parts;
    for (auto node = static_cast<uint32_t>(nodes.size()); node-- > 0;) {
      parts.clear();
      const auto tokens = hidden.find(node);
      size_t shown = 0;
      const auto show_hidden = [&](uint32_t before) {
        if (tokens == hidden.end()) return;
        for (; shown < tokens->second.size() && tokens->second[shown]->before <= before; ++shown) {
          parts.push_back({"", NumberOfToken(*tokens->second[shown])});
        }
      };
      tree.ForEachChild(node, [&](uint32_t child) {
        show_hidden(child);
        if (IsShown(nodes[child])) {
          parts.push_back({nodes[child].field, numbers[child]});
        } else if (nodes[child].children > 0) {
          for (const Part& part : unnamed[child]) {
            parts.push_back({part.field.empty() ? nodes[child].field : part.field, part.number});
          }
        }
      });
      show_hidden(nodes[node].past);
      numbers[node] = NumberOf(nodes[node], code, parts);
      if (!IsShown(nodes[node]) && !parts.empty()) unnamed[node] = parts;
    }
    return numbers;
  }

  size_t size() const { return numbers_.size(); }

 private:
  static bool IsShown(const SyntaxNode& node) { return node.named || node.missing; }

  uint32_t NumberOf(const SyntaxNode& node, std::string_view code, const std::vector<Part>& parts) {
    key_.clear();
    if (node.missing) key_ += '\1';
    if (!node.named) key_ += '\2';
    key_ += node.kind;
    if (node.kind == "ERROR" && node.children == 0 && node.end > node.begin) {
      // Shown with the character at which the parser gave up.
      const std::string_view rest = code.substr(node.begin);
      key_ += rest.substr(0, NextChar(rest).length);
    }
    for (const Part& part : parts) {
      key_ += '\0';
      key_ += part.field;
      key_ += '\0';
      key_.append(reinterpret_cast<const char*>(&part.number), sizeof(part.number));
    }
    return NumberOfKey(key_);
  }

  uint32_t NumberOfToken(const HiddenToken& token) {
    key_ = token.named ? "\1" : "\1\2";
    key_ += token.kind;
    return NumberOfKey(key_);
  }

  uint32_t NumberOfKey(const std::string& key) {
    return numbers_.try_emplace(key, static_cast<uint32_t>(numbers_.size())).first->second;
  }

  absl::flat_hash_map<std::string, uint32_t> numbers_;
  std::string key_;
};

bool IsSubtree(uint32_t node, const SyntaxNode& entry) { return node == 0 || entry.children > 0; }

}  // namespace

MatchCounts& MatchCounts::operator+=(const MatchCounts& other) {
  matches += other.matches;
  total += other.total;
  return *this;
}

MatchCounts MatchSyntax(const SyntaxTree& prediction, std::string_view prediction_code,
                        const SyntaxTree& reference, std::string_view reference_code) {
  Numbering numbering;
  const std::vector<uint32_t> predicted = numbering.Number(prediction, prediction_code);
  const std::vector<uint32_t> wanted = numbering.Number(reference, reference_code);
  std::vector<bool> known(numbering.size());
  for (uint32_t node = 0; node < predicted.size(); ++node) {
    if (IsSubtree(node, prediction.nodes()[node])) known[predicted[node]] = true;
  }
  MatchCounts counts;
  for (uint32_t node = 0; node < wanted.size(); ++node) {
    if (!IsSubtree(node, reference.nodes()[node])) continue;
    ++counts.total;
    counts.matches += known[wanted[node]] ? 1 : 0;
  }
  return counts;
}

}  // namespace ddpt
