#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "core/evaluation/code_tokens.h"
#include "core/evaluation/syntax_tree.h"

namespace ddpt {

// Numbered in the order of the texts; fewer than tokens.
using Name = uint32_t;
using Place = uint32_t;  // of a token: CodeToken::place

// What one place of a name comes or is computed from.
struct FlowEdge {
  Name name;
  Place place;
  bool computed;                         // else it comes from its sources unchanged
  absl::InlinedVector<Name, 4> names;    // of the sources
  absl::InlinedVector<Place, 4> places;  // of the sources
};

// The data flow of code by the rules that data_flow.h tells: in the order of their places one edge
// for each that has a source, or is one. None where a rule lacks its part, or after 2^20 steps.
// Calls itself for each level of the tree.
std::vector<FlowEdge> FlowEdges(const SyntaxTree& tree, const TreeTokens& tokens,
                                CodeLanguage language);

}  // namespace ddpt
