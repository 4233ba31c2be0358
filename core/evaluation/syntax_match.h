#pragma once

#include <cstdint>
#include <string_view>

#include "core/evaluation/syntax_tree.h"

namespace ddpt {

// A share as its two counts; those of a corpus are sums.
struct MatchCounts {
  uint64_t matches = 0;
  uint64_t total = 0;

  MatchCounts& operator+=(const MatchCounts& other);
};

// How many subtrees of the reference the prediction has too: the whole tree, and whatever has
// children. Subtrees are alike where their S-expressions are: kinds and fields of named nodes, what
// is missing, no names and values. One subtree of the prediction matches any number of the
// reference's. Time and memory grow with the sizes alone.
MatchCounts MatchSyntax(const SyntaxTree& prediction, std::string_view prediction_code,
                        const SyntaxTree& reference, std::string_view reference_code);

}  // namespace ddpt
