#include "core/evaluation/data_flow.h"

#include <algorithm>

#include "core/evaluation/code_tokens.h"
#include "core/evaluation/flow_edges.h"
#include "core/evaluation/hash64.h"

namespace ddpt {
namespace {

constexpr uint32_t kMaxDepth = 950;

}  // namespace

std::vector<uint64_t> DataFlowHashes(const SyntaxTree& tree, std::string_view code,
                                     CodeLanguage language) {
  const auto& nodes = tree.nodes();
  if (std::any_of(nodes.begin(), nodes.end(),
                  [](const SyntaxNode& node) { return node.depth > kMaxDepth; })) {
    return {};
  }
  const TreeTokens tokens = TokensOf(tree, code);
  // Of each name, numbered as they are met, from 1 on; 0: not yet.
  std::vector<uint32_t> numbers(tokens.tokens.size());
  uint32_t met = 0;
  const auto number = [&](Name name) {
    if (numbers[name] == 0) numbers[name] = ++met;
    return uint64_t{numbers[name]};
  };
  std::vector<uint64_t> hashes;
  for (const FlowEdge& edge : FlowEdges(tree, tokens, language)) {
    Hash64 hash;
    for (const Name name : edge.names) hash.Add(number(name));
    hash.Add(number(edge.name));
    hash.Add(uint64_t{edge.computed});
    hashes.push_back(hash.value());
  }
  std::sort(hashes.begin(), hashes.end());
  return hashes;
}

MatchCounts MatchDataFlow(std::span<const uint64_t> prediction,
                          std::span<const uint64_t> reference) {
  MatchCounts counts{.total = reference.size()};
  auto left = prediction.begin();
  for (const uint64_t edge : reference) {
    left = std::lower_bound(left, prediction.end(), edge);
    if (left == prediction.end() || *left != edge) continue;
    ++counts.matches;
    ++left;
  }
  return counts;
}

}  // namespace ddpt
