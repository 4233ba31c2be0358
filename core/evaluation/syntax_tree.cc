#include "core/evaluation/syntax_tree.h"

#include <tree_sitter/api.h>

#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/evaluation/grammars.h"

extern "C" {
const TSLanguage* tree_sitter_python();
const TSLanguage* tree_sitter_javascript();
const TSLanguage* tree_sitter_java();
const TSLanguage* tree_sitter_c();
const TSLanguage* tree_sitter_cpp();
}

namespace ddpt {
namespace {

constexpr uint64_t kTimeoutMicros = 10'000'000;

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
          .children = ts_node_child_count(node),
          .named = ts_node_is_named(node),
          .missing = ts_node_is_missing(node)};
}

std::vector<SyntaxNode> Flatten(TSNode root) {
  std::vector<SyntaxNode> nodes;
  std::vector<uint32_t> open;  // the current node and those above it
  TSTreeCursor cursor = ts_tree_cursor_new(root);
  const auto enter = [&] {
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

}  // namespace

std::optional<CodeLanguage> CodeLanguageOf(std::string_view name) {
  for (const auto& [known, language] : kLanguages) {
    if (known == name) return language;
  }
  return std::nullopt;
}

const TSLanguage* GrammarOf(CodeLanguage language) {
  switch (language) {
    case CodeLanguage::kPython:
      return tree_sitter_python();
    case CodeLanguage::kJavaScript:
      return tree_sitter_javascript();
    case CodeLanguage::kJava:
      return tree_sitter_java();
    case CodeLanguage::kC:
      return tree_sitter_c();
    case CodeLanguage::kCpp:
      return tree_sitter_cpp();
  }
  return nullptr;
}

void SyntaxTree::Delete::operator()(TSTree* tree) const { ts_tree_delete(tree); }

absl::StatusOr<SyntaxTree> SyntaxTree::Parse(std::string_view code, CodeLanguage language) {
  if (code.size() > kMaxBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("code of ", code.size(), " bytes; at most ", kMaxBytes, " are parsed"));
  }
  const std::unique_ptr<TSParser, void (*)(TSParser*)> parser(ts_parser_new(), ts_parser_delete);
  ts_parser_set_language(parser.get(), GrammarOf(language));
  ts_parser_set_timeout_micros(parser.get(), kTimeoutMicros);
  SyntaxTree tree;
  tree.tree_.reset(ts_parser_parse_string(parser.get(), nullptr, code.data(),
                                          static_cast<uint32_t>(code.size())));
  if (tree.tree_ == nullptr) {
    return absl::DeadlineExceededError(
        absl::StrCat("code of ", code.size(), " bytes was not parsed within 10 seconds"));
  }
  tree.nodes_ = Flatten(ts_tree_root_node(tree.tree_.get()));
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
