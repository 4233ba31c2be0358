#pragma once

#include <string_view>

#include "core/evaluation/syntax_tree.h"

namespace ddpt {

// Whether the package codebleu 0.7 counts a word among the keywords of a language: for Python soft
// keywords too, for JavaScript "True" and not "true", for C++ some names of its library.
bool IsKeyword(std::string_view word, CodeLanguage language);

}  // namespace ddpt
