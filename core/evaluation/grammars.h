#pragma once

#include "core/evaluation/syntax_tree.h"

struct TSLanguage;

namespace ddpt {

// Of tree-sitter; lives as long as the program.
const TSLanguage* GrammarOf(CodeLanguage language);

}  // namespace ddpt
