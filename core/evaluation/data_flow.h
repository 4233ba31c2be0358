#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/evaluation/syntax_match.h"
#include "core/evaluation/syntax_tree.h"

namespace ddpt {

// Hashes (hash64.h) of the edges of a code's data flow, sorted (Ren et al. 2020, as the package
// codebleu 0.7 does it).
//
// An edge says of one place of a variable or value whether it is what stood at other places, or is
// computed from them: from the last places at which the same name was set, or from the other side
// of an assignment. Branches are followed side by side, loops twice. Edges are alike where their
// names, numbered in the order of their first use, are. The edges of one place are joined: their
// sources are then in the order of the names (the package's order there changes from run to run).
//
// The package's rules are kept with their gaps: C and C++ have C#'s, of which only those for
// assignments with =, `if` and `while` find anything; names on lines with characters other than
// ASCII are cut where byte offsets are taken for those of characters; where a rule lacks the part
// it is about, as in code with syntax errors, there is no data flow at all.
//
// No data flow either has code nested deeper than 950 levels, where the package runs into Python's
// recursion limit, or that takes more than 2^20 steps: loops in loops double them.
std::vector<uint64_t> DataFlowHashes(const SyntaxTree& tree, std::string_view code,
                                     CodeLanguage language);

// How many edges of the reference the prediction has too, each as often as both have it.
MatchCounts MatchDataFlow(std::span<const uint64_t> prediction,
                          std::span<const uint64_t> reference);

}  // namespace ddpt
