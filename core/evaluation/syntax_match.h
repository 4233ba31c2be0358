#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/evaluation/syntax_tree.h"

namespace ddpt {

// A share as its two counts; those of a corpus are sums.
struct MatchCounts {
  uint64_t matches = 0;
  uint64_t total = 0;

  MatchCounts& operator+=(const MatchCounts& other);
};

// Hashes (hash64.h) of the subtrees of code: the whole tree, and whatever has children; sorted.
// Subtrees are alike where their S-expressions are: kinds and fields of named nodes, what is
// missing, no names and values. Time and memory grow with the size alone.
std::vector<uint64_t> SubtreeHashes(const SyntaxTree& tree, std::string_view code);

// How many subtrees of the reference the prediction has too. One subtree of the prediction matches
// any number of the reference's.
MatchCounts MatchSyntax(std::span<const uint64_t> prediction, std::span<const uint64_t> reference);

}  // namespace ddpt
