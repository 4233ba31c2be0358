#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/evaluation/safety_rules.h"
#include "core/evaluation/syntax_query.h"

namespace ddpt {

struct SafetyFinding {
  size_t rule;       // of SafetyScanner::rules
  uint32_t line;     // of the code, from 1 on
  std::string code;  // what was found, its first line, 80 bytes at most
};

// Looks for what generated code should not do unseen, by rules over its syntax tree, without
// running it. What is hidden it does not find: names that are assigned or looked up, texts that are
// put together elsewhere. A finding is a reason to look, not a proof. Thread-safe.
class SafetyScanner {
 public:
  // Errors: InvalidArgument, there are no rules for the language.
  static absl::StatusOr<SafetyScanner> Make(CodeLanguage language);

  std::span<const SafetyRule> rules() const { return SafetyRulesOf(language_); }

  // In the order of the code, one at most of a rule at one place. Errors: those of
  // SyntaxTree::Parse.
  absl::StatusOr<std::vector<SafetyFinding>> Scan(std::string_view code) const;

 private:
  CodeLanguage language_;
  std::vector<SyntaxQuery> queries_;  // of each rule
  std::vector<SyntaxQuery> imports_;  // one
};

}  // namespace ddpt
