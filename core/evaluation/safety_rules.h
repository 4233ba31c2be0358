#pragma once

#include <span>
#include <string_view>

#include "core/evaluation/syntax_tree.h"

namespace ddpt {

enum class Severity { kMedium, kHigh };

// What generated code should not do unseen. A pattern of `query` with the capture @found is a
// finding where its predicates hold:
//
//   (#any-of? @c "a" "b")     its text is one of these
//   (#path? @c "os.system")   it is one of these dotted names, whatever the code imports it as
//   (#lacks? @c "a" "b")      its text contains none of these
//   (#secret? @c)             it is the name of a password, token or key, and the string that the
//                             pattern has as @value has 8 characters or more and looks like one
//   (#sql? @c)                it begins with a string that begins an SQL statement
struct SafetyRule {
  std::string_view id;
  Severity severity;
  std::string_view finds;
  CodeLanguage language;
  std::string_view query;
  std::string_view bad, good;  // code with and without a finding
};

// For Python and JavaScript; empty for the others.
std::span<const SafetyRule> SafetyRulesOf(CodeLanguage language);

// Patterns of imports, for (#path?): captures @module, @name and @alias.
std::string_view ImportQueryOf(CodeLanguage language);

}  // namespace ddpt
