#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/evaluation/syntax_tree.h"

namespace ddpt {

// Code without comments, and for Python without docstrings, and without lines that are blank then;
// as the package codebleu 0.7 prepares it before it is parsed:
//
//   Python   what Python's own tokenizer (tokenize of 3.11) tells for a comment, or for a string at
//            the beginning of a statement; continued lines are joined. Code that it refuses stays
//            as it is.
//   others   // to the end of the line and /* to */ become a space; not in '...' and "..." which
//            may span lines. Blank lines go even inside of such strings.
//
// Takes time in proportion to the code.
std::string WithoutComments(std::string_view code, CodeLanguage language);

// For Python; nothing where its tokenizer refuses the code.
std::optional<std::string> WithoutPythonComments(std::string_view code);

// The lines that are not white space alone, joined by line feeds.
std::string WithoutBlankLines(std::string_view text);

}  // namespace ddpt
