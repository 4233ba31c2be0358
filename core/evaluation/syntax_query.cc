#include "core/evaluation/syntax_query.h"

#include <tree_sitter/api.h>

#include "absl/strings/str_cat.h"
#include "core/evaluation/grammars.h"

namespace ddpt {
namespace {

constexpr uint32_t kMaxMatchesAtATime = 4096;

std::string CaptureName(const TSQuery* query, uint32_t id) {
  uint32_t length = 0;
  const char* name = ts_query_capture_name_for_id(query, id, &length);
  return {name, length};
}

std::vector<QueryPredicate> PredicatesOf(const TSQuery* query, uint32_t pattern) {
  uint32_t count = 0;
  const TSQueryPredicateStep* steps = ts_query_predicates_for_pattern(query, pattern, &count);
  std::vector<QueryPredicate> predicates;
  bool begins = true;
  for (uint32_t i = 0; i < count; ++i) {
    if (steps[i].type == TSQueryPredicateStepTypeDone) {
      begins = true;
    } else if (steps[i].type == TSQueryPredicateStepTypeCapture) {
      predicates.back().capture = CaptureName(query, steps[i].value_id);
    } else {
      uint32_t length = 0;
      const char* text = ts_query_string_value_for_id(query, steps[i].value_id, &length);
      if (begins) {
        predicates.push_back({.name = std::string(text, length), .capture = {}, .strings = {}});
        begins = false;
      } else {
        predicates.back().strings.emplace_back(text, length);
      }
    }
  }
  return predicates;
}

}  // namespace

const QueryMatch::Capture* QueryMatch::Find(std::string_view name) const {
  for (const Capture& capture : captures) {
    if (capture.name == name) return &capture;
  }
  return nullptr;
}

void SyntaxQuery::Delete::operator()(TSQuery* query) const { ts_query_delete(query); }

absl::StatusOr<SyntaxQuery> SyntaxQuery::Compile(std::string_view patterns, CodeLanguage language) {
  uint32_t place = 0;
  TSQueryError error = TSQueryErrorNone;
  SyntaxQuery query;
  query.query_.reset(ts_query_new(GrammarOf(language), patterns.data(),
                                  static_cast<uint32_t>(patterns.size()), &place, &error));
  if (query.query_ == nullptr) {
    const std::string rest(patterns.substr(place, 40));
    return absl::InvalidArgumentError(
        absl::StrCat("no query of this language at byte ", place, ": ", rest));
  }
  for (uint32_t i = 0; i < ts_query_pattern_count(query.query_.get()); ++i) {
    query.predicates_.push_back(PredicatesOf(query.query_.get(), i));
  }
  return query;
}

void SyntaxQuery::ForEachMatch(const SyntaxTree& tree, std::string_view code,
                               const std::function<void(const QueryMatch&)>& visit) const {
  const std::unique_ptr<TSQueryCursor, void (*)(TSQueryCursor*)> cursor(ts_query_cursor_new(),
                                                                        ts_query_cursor_delete);
  ts_query_cursor_set_match_limit(cursor.get(), kMaxMatchesAtATime);
  ts_query_cursor_exec(cursor.get(), query_.get(), ts_tree_root_node(tree.tree()));
  TSQueryMatch found;
  while (ts_query_cursor_next_match(cursor.get(), &found)) {
    QueryMatch match{.pattern = found.pattern_index, .captures = {}};
    for (uint16_t i = 0; i < found.capture_count; ++i) {
      const TSNode node = found.captures[i].node;
      uint32_t length = 0;
      const char* name =
          ts_query_capture_name_for_id(query_.get(), found.captures[i].index, &length);
      const uint32_t begin = ts_node_start_byte(node);
      match.captures.push_back({.name = std::string_view(name, length),
                                .text = code.substr(begin, ts_node_end_byte(node) - begin),
                                .begin = begin,
                                .line = ts_node_start_point(node).row + 1});
    }
    visit(match);
  }
}

}  // namespace ddpt
