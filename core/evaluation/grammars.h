#pragma once

#include "core/evaluation/syntax_tree.h"

struct TSLanguage;

namespace ddpt {

// Of tree-sitter; lives as long as the program. The first call for a language takes a millisecond
// and up to 9 MB (C++) for its parse table. Thread-safe.
const TSLanguage* GrammarOf(CodeLanguage language);

}  // namespace ddpt
