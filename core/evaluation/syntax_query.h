#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/evaluation/syntax_tree.h"

struct TSQuery;

namespace ddpt {

// What one pattern of a query found.
struct QueryMatch {
  struct Capture {
    std::string_view name;  // without @
    std::string_view text;  // of the code
    uint32_t begin, line;   // a byte of the code; lines from 1 on
  };

  // The first capture of that name; null: none.
  const Capture* Find(std::string_view name) const;

  uint32_t pattern;
  std::vector<Capture> captures;
};

// A condition of a pattern, as (#name? @capture "string" ...).
struct QueryPredicate {
  std::string name;  // with ?
  std::string capture;
  std::vector<std::string> strings;
};

// Patterns in tree-sitter's query language.
class SyntaxQuery {
 public:
  // Errors: InvalidArgument, the place of the first pattern that is none.
  static absl::StatusOr<SyntaxQuery> Compile(std::string_view patterns, CodeLanguage language);

  // Calls visit for each place at which a pattern matches, whatever its predicates, in the order of
  // the code. Only 4,096 matches are followed at a time: code that begins more has some left out.
  void ForEachMatch(const SyntaxTree& tree, std::string_view code,
                    const std::function<void(const QueryMatch&)>& visit) const;

  const std::vector<QueryPredicate>& predicates(uint32_t pattern) const {
    return predicates_[pattern];
  }
  uint32_t patterns() const { return static_cast<uint32_t>(predicates_.size()); }

 private:
  struct Delete {
    void operator()(TSQuery* query) const;
  };

  std::unique_ptr<TSQuery, Delete> query_;
  std::vector<std::vector<QueryPredicate>> predicates_;  // of each pattern
};

}  // namespace ddpt
