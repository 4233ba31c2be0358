#include "core/evaluation/data_flow.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "core/evaluation/code_tokens.h"
#include "core/evaluation/flow_edges.h"

namespace ddpt {
namespace {

constexpr uint32_t kMaxDepth = 950;

// The edges with names numbered as they are met.
std::vector<std::vector<uint32_t>> DataFlow(const SyntaxTree& tree, std::string_view code,
                                            CodeLanguage language) {
  const auto& nodes = tree.nodes();
  if (std::any_of(nodes.begin(), nodes.end(),
                  [](const SyntaxNode& node) { return node.depth > kMaxDepth; })) {
    return {};
  }
  const TreeTokens tokens = TokensOf(tree, code);
  absl::flat_hash_map<Name, uint32_t> numbers;
  const auto number = [&](Name name) {
    return numbers.try_emplace(name, static_cast<uint32_t>(numbers.size())).first->second;
  };
  std::vector<std::vector<uint32_t>> flow;
  for (const FlowEdge& edge : FlowEdges(tree, tokens, language)) {
    std::vector<uint32_t>& entry = flow.emplace_back();
    for (const Name name : edge.names) entry.push_back(number(name));
    entry.push_back(number(edge.name));
    entry.push_back(edge.computed ? 1 : 0);
  }
  return flow;
}

}  // namespace

MatchCounts MatchDataFlow(const SyntaxTree& prediction, std::string_view prediction_code,
                          const SyntaxTree& reference, std::string_view reference_code,
                          CodeLanguage language) {
  absl::flat_hash_map<std::vector<uint32_t>, uint64_t> predicted;
  for (const auto& edge : DataFlow(prediction, prediction_code, language)) ++predicted[edge];
  MatchCounts counts;
  for (const auto& edge : DataFlow(reference, reference_code, language)) {
    ++counts.total;
    const auto found = predicted.find(edge);
    if (found == predicted.end() || found->second == 0) continue;
    --found->second;
    ++counts.matches;
  }
  return counts;
}

}  // namespace ddpt
