#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/evaluation/syntax_tree.h"

namespace ddpt {

// A leaf of a syntax tree, or a string as a whole; no comment.
struct CodeToken {
  std::string text;
  bool variable;   // not a keyword or punctuation, whose text is their kind
  uint32_t place;  // its number; tokens without text at one spot share that of the last
};

// The tokens of code in order, and which stand below each node.
struct TreeTokens {
  std::vector<CodeToken> tokens;
  std::vector<uint32_t> first, past;  // of each node: the range of its tokens
};

// The package codebleu cuts the text of a token out of its line by characters, although tree-sitter
// counts bytes: behind a character that is not ASCII texts are shifted, and so they are here.
TreeTokens TokensOf(const SyntaxTree& tree, std::string_view code);

// Whether the node is one token, whatever it contains.
bool IsToken(const SyntaxNode& node);

}  // namespace ddpt
