#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

struct TSTree;

namespace ddpt {

enum class CodeLanguage { kPython, kJavaScript, kJava, kC, kCpp };

// Of "python", "javascript", "java", "c", "cpp".
std::optional<CodeLanguage> CodeLanguageOf(std::string_view name);

// A place in the code: lines from 0 on, bytes of the line before it.
struct CodePoint {
  uint32_t line, column;

  bool operator==(const CodePoint&) const = default;
};

struct SyntaxNode {
  std::string_view kind;   // of the grammar: "if_statement", "identifier", "+"
  std::string_view field;  // what it is to its parent: "condition"; "": nothing
  uint32_t begin, end;     // bytes of the code
  CodePoint first, last;
  uint32_t past;      // the node that follows its whole subtree
  uint32_t depth;     // 0 for the root
  uint32_t children;  // how many
  bool named;         // not punctuation or a keyword
  bool missing;       // put in where the code lacks it
};

// A token that the code lacks, and that there is no node for: the end of a statement.
struct HiddenToken {
  uint32_t parent;  // the node that it is in
  uint32_t before;  // the nodes of the parent from this one on stand behind it
  std::string kind;
  bool named;
};

// The concrete syntax tree that tree-sitter makes of code, errors and all. A move keeps the nodes.
class SyntaxTree {
 public:
  // Code that is longer is refused.
  static constexpr size_t kMaxBytes = size_t{64} << 10;

  // Takes time in proportion to the code for all that was found. Errors: InvalidArgument, longer
  // than kMaxBytes; DeadlineExceeded, 10 seconds did not suffice.
  static absl::StatusOr<SyntaxTree> Parse(std::string_view code, CodeLanguage language);

  // In the order in which they begin, each before its children. The first is the root, and never
  // lacks. Kinds and fields live as long as the program.
  const std::vector<SyntaxNode>& nodes() const { return nodes_; }

  // In the order of the code; none of trees deeper than 950 levels.
  const std::vector<HiddenToken>& hidden() const { return hidden_; }

  // The node of that field among the children of `node`, the first of them; 0: none.
  uint32_t Child(uint32_t node, std::string_view field) const;

  // Calls visit(child) for each child of `node`, in order.
  template <typename Visit>
  void ForEachChild(uint32_t node, const Visit& visit) const {
    for (uint32_t child = node + 1; child < nodes_[node].past; child = nodes_[child].past) {
      visit(child);
    }
  }

  // For queries.
  const TSTree* tree() const { return tree_.get(); }

 private:
  struct Delete {
    void operator()(TSTree* tree) const;
  };

  std::unique_ptr<TSTree, Delete> tree_;
  std::vector<SyntaxNode> nodes_;
  std::vector<HiddenToken> hidden_;
};

}  // namespace ddpt
