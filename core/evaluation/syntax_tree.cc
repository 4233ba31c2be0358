#include "core/evaluation/syntax_tree.h"

#include <tree_sitter/api.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/evaluation/grammars.h"

namespace ddpt {
namespace {

constexpr uint64_t kTimeoutMicros = 10'000'000;
constexpr uint32_t kMaxPrintedDepth = 950;  // printing calls itself for each level

constexpr std::array<std::pair<std::string_view, CodeLanguage>, 5> kLanguages = {
    {{"python", CodeLanguage::kPython},
     {"javascript", CodeLanguage::kJavaScript},
     {"java", CodeLanguage::kJava},
     {"c", CodeLanguage::kC},
     {"cpp", CodeLanguage::kCpp}}};

CodePoint PointOf(TSPoint point) { return {point.row, point.column}; }

SyntaxNode NodeAt(const TSTreeCursor& cursor, uint32_t depth) {
  const TSNode node = ts_tree_cursor_current_node(&cursor);
  const char* field = ts_tree_cursor_current_field_name(&cursor);
  return {.kind = ts_node_type(node),
          .field = field == nullptr ? "" : field,
          .begin = ts_node_start_byte(node),
          .end = ts_node_end_byte(node),
          .first = PointOf(ts_node_start_point(node)),
          .last = PointOf(ts_node_end_point(node)),
          .past = 0,
          .depth = depth,
          .children = 0,
          .named = ts_node_is_named(node),
          .missing = ts_node_is_missing(node)};
}

std::vector<SyntaxNode> Flatten(TSNode root) {
  std::vector<SyntaxNode> nodes;
  nodes.reserve(ts_node_descendant_count(root));
  std::vector<uint32_t> open;  // the current node and those above it
  TSTreeCursor cursor = ts_tree_cursor_new(root);
  const auto enter = [&] {
    if (!open.empty()) ++nodes[open.back()].children;
    open.push_back(static_cast<uint32_t>(nodes.size()));
    nodes.push_back(NodeAt(cursor, static_cast<uint32_t>(open.size() - 1)));
  };
  const auto leave = [&] {
    nodes[open.back()].past = static_cast<uint32_t>(nodes.size());
    open.pop_back();
  };
  enter();
  while (!open.empty()) {
    if (ts_tree_cursor_goto_first_child(&cursor)) {
      enter();
      continue;
    }
    leave();
    while (!open.empty() && !ts_tree_cursor_goto_next_sibling(&cursor)) {
      ts_tree_cursor_goto_parent(&cursor);
      leave();
    }
    if (!open.empty()) enter();
  }
  ts_tree_cursor_delete(&cursor);
  return nodes;
}

// Reads a tree's S-expression, which alone tells of hidden tokens. Its groups are the named and the
// missing nodes in their order, and those.
std::vector<HiddenToken> HiddenTokens(std::string_view tree, const std::vector<SyntaxNode>& nodes) {
  constexpr std::string_view kMissing = "(MISSING ", kError = "(UNEXPECTED '";
  std::vector<HiddenToken> hidden;
  std::vector<uint32_t> open;  // the groups that have begun
  uint32_t met = 0;            // the nodes before it
  for (size_t i = tree.find('('); i < tree.size(); i = tree.find_first_of("()", i + 1)) {
    if (tree[i] == ')') {
      open.pop_back();
      continue;
    }
    uint32_t next = met;
    while (next < nodes.size() && !nodes[next].named && !nodes[next].missing) ++next;
    std::string_view rest = tree.substr(i);
    if (rest.starts_with(kMissing)) {
      rest.remove_prefix(kMissing.size());
      // What is quoted may be a bracket itself.
      const bool named = rest[0] != '"';
      const size_t end = named ? rest.find(')') : rest.find("\")", 2) + 1;
      i += kMissing.size() + end;
      const std::string_view kind = named ? rest.substr(0, end) : rest.substr(1, end - 2);
      if (next < nodes.size() && nodes[next].missing && nodes[next].kind == kind) {
        met = next + 1;
      } else {
        hidden.push_back({open.back(), met, std::string(kind), named});
      }
      continue;
    }
    if (rest.starts_with(kError)) i += rest.find("')", kError.size() + 1);
    open.push_back(next);
    met = next + 1;
  }
  return hidden;
}

std::vector<HiddenToken> FindHiddenTokens(TSNode root, const std::vector<SyntaxNode>& nodes) {
  const bool deep = std::any_of(nodes.begin(), nodes.end(), [](const SyntaxNode& node) {
    return node.depth > kMaxPrintedDepth;
  });
  if (!ts_node_has_error(root) || deep) return {};
  const std::unique_ptr<char, void (*)(void*)> tree(ts_node_string(root), std::free);
  return HiddenTokens(tree.get(), nodes);
}

}  // namespace

std::optional<CodeLanguage> CodeLanguageOf(std::string_view name) {
  for (const auto& [known, language] : kLanguages) {
    if (known == name) return language;
  }
  return std::nullopt;
}

void SyntaxTree::Delete::operator()(TSTree* tree) const { ts_tree_delete(tree); }

absl::StatusOr<SyntaxTree> SyntaxTree::Parse(std::string_view code, CodeLanguage language) {
  if (code.size() > kMaxBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("code of ", code.size(), " bytes; at most ", kMaxBytes, " are parsed"));
  }
  // It keeps its memory from one code to the next.
  thread_local const std::unique_ptr<TSParser, void (*)(TSParser*)> parser(ts_parser_new(),
                                                                           ts_parser_delete);
  ts_parser_reset(parser.get());
  ts_parser_set_language(parser.get(), GrammarOf(language));
  ts_parser_set_timeout_micros(parser.get(), kTimeoutMicros);
  SyntaxTree tree;
  tree.tree_.reset(ts_parser_parse_string(parser.get(), nullptr, code.data(),
                                          static_cast<uint32_t>(code.size())));
  if (tree.tree_ == nullptr) {
    return absl::DeadlineExceededError(
        absl::StrCat("code of ", code.size(), " bytes was not parsed within 10 seconds"));
  }
  const TSNode root = ts_tree_root_node(tree.tree_.get());
  tree.nodes_ = Flatten(root);
  tree.hidden_ = FindHiddenTokens(root, tree.nodes_);
  return tree;
}

uint32_t SyntaxTree::Child(uint32_t node, std::string_view field) const {
  uint32_t found = 0;
  ForEachChild(node, [&](uint32_t child) {
    if (found == 0 && nodes_[child].field == field) found = child;
  });
  return found;
}

}  // namespace ddpt
