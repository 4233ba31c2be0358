#include "core/evaluation/syntax_match.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"
#include "core/evaluation/hash64.h"
#include "core/text/unicode.h"

namespace ddpt {
namespace {

// A child as its parent's S-expression shows it.
struct Part {
  std::string_view field;
  uint64_t hash;
};

bool IsShown(const SyntaxNode& node) { return node.named || node.missing; }

void AddKind(std::string_view kind, bool named, bool missing, Hash64& hash) {
  hash.Add(kind);
  hash.Add(uint64_t{named} << 1 | uint64_t{missing});
}

uint64_t HashOf(const HiddenToken& token) {
  Hash64 hash;
  AddKind(token.kind, token.named, /*missing=*/true, hash);
  return hash.value();
}

uint64_t HashOf(const SyntaxNode& node, std::string_view code, const std::vector<Part>& parts) {
  Hash64 hash;
  AddKind(node.kind, node.named, node.missing, hash);
  if (node.kind == "ERROR" && node.children == 0 && node.end > node.begin) {
    // Shown with the character at which the parser gave up.
    const std::string_view rest = code.substr(node.begin);
    hash.Add(rest.substr(0, NextChar(rest).length));
  }
  for (const Part& part : parts) {
    hash.Add(part.field);
    hash.Add(part.hash);
  }
  return hash.value();
}

}  // namespace

MatchCounts& MatchCounts::operator+=(const MatchCounts& other) {
  matches += other.matches;
  total += other.total;
  return *this;
}

std::vector<uint64_t> SubtreeHashes(const SyntaxTree& tree, std::string_view code) {
  const std::vector<SyntaxNode>& nodes = tree.nodes();
  std::vector<uint64_t> hashes(nodes.size()), subtrees;
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
        parts.push_back({"", HashOf(*tokens->second[shown])});
      }
    };
    tree.ForEachChild(node, [&](uint32_t child) {
      show_hidden(child);
      if (IsShown(nodes[child])) {
        parts.push_back({nodes[child].field, hashes[child]});
      } else if (nodes[child].children > 0) {
        for (const Part& part : unnamed[child]) {
          parts.push_back({part.field.empty() ? nodes[child].field : part.field, part.hash});
        }
      }
    });
    show_hidden(nodes[node].past);
    hashes[node] = HashOf(nodes[node], code, parts);
    if (!IsShown(nodes[node]) && !parts.empty()) unnamed[node] = parts;
    if (node == 0 || nodes[node].children > 0) subtrees.push_back(hashes[node]);
  }
  std::sort(subtrees.begin(), subtrees.end());
  return subtrees;
}

MatchCounts MatchSyntax(std::span<const uint64_t> prediction, std::span<const uint64_t> reference) {
  MatchCounts counts{.total = reference.size()};
  auto found = prediction.begin();
  for (const uint64_t subtree : reference) {
    found = std::lower_bound(found, prediction.end(), subtree);
    counts.matches += found != prediction.end() && *found == subtree ? 1 : 0;
  }
  return counts;
}

}  // namespace ddpt
