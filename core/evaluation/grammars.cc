#include "core/evaluation/grammars.h"

#include <tree_sitter/api.h>
#include <tree_sitter/parser.h>

#include <algorithm>
#include <cstddef>

extern "C" {
const TSLanguage* tree_sitter_python();
const TSLanguage* tree_sitter_javascript();
const TSLanguage* tree_sitter_java();
const TSLanguage* tree_sitter_c();
const TSLanguage* tree_sitter_cpp();
}

namespace ddpt {
namespace {

// The same grammar with its parse table as one row a state. Grammars keep the rows of most states
// as lists, which the parser searches for a symbol, and for every symbol where code has an error.
const TSLanguage* WrittenOut(const TSLanguage& grammar) {
  const size_t width = grammar.symbol_count;
  auto* table = new uint16_t[grammar.state_count * width]();
  std::copy_n(grammar.parse_table, grammar.large_state_count * width, table);
  for (size_t state = grammar.large_state_count; state < grammar.state_count; ++state) {
    const uint16_t* list = grammar.small_parse_table +
                           grammar.small_parse_table_map[state - grammar.large_state_count];
    for (uint16_t groups = *list++; groups > 0; --groups) {
      const uint16_t value = *list++;
      for (uint16_t symbols = *list++; symbols > 0; --symbols) {
        table[state * width + *list++] = value;
      }
    }
  }
  auto* written = new TSLanguage(grammar);
  written->large_state_count = grammar.state_count;
  written->parse_table = table;
  return written;
}

// `grammar` as a type, so that each has one table.
template <const TSLanguage* (*grammar)()>
const TSLanguage* Once() {
  static const TSLanguage* const written = WrittenOut(*grammar());
  return written;
}

}  // namespace

const TSLanguage* GrammarOf(CodeLanguage language) {
  switch (language) {
    case CodeLanguage::kPython:
      return Once<tree_sitter_python>();
    case CodeLanguage::kJavaScript:
      return Once<tree_sitter_javascript>();
    case CodeLanguage::kJava:
      return Once<tree_sitter_java>();
    case CodeLanguage::kC:
      return Once<tree_sitter_c>();
    case CodeLanguage::kCpp:
      return Once<tree_sitter_cpp>();
  }
  return nullptr;
}

}  // namespace ddpt
