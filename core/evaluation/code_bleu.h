#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/evaluation/syntax_match.h"
#include "core/evaluation/syntax_tree.h"

namespace ddpt {

// CodeBLEU of code against one reference each (Ren et al. 2020), 0 to 1, as the package codebleu
// 0.7 computes it, or strictly. Counts are summed over the examples, then divided. Tokens are what
// stands between white space. Four components:
//
//   n-gram           BLEU-4 of them: nltk's corpus_bleu with its smoothing "method 1", an order
//                    without a match counts 0.1 matches; 0 without a common token. An example that
//                    is too short for an order counts as one n-gram of it that is not matched.
//   weighted n-gram  the same of recall: n-grams of the reference that the prediction has too, of
//                    all that it has. Single tokens count 1 where they are keywords (see
//                    code_keywords.h), else 1/5, but those of an example 1 at least together, so
//                    that one name alone scores 1/5 of a match. (The paper has precision.) The
//                    brevity penalty takes each reference for one of two tokens.
//   syntax           the share of the reference's subtrees that are found (syntax_match.h), without
//                    comments (code_comments.h). (Not the prediction's, as in the paper.)
//   data flow        the share of the reference's edges that are found (data_flow.h)
//
// Both figures are the mean of the four, but differ where there is no data flow:
//
//   compat  a data flow of 0 counts as 1: a quarter for nothing, also where the references have
//           edges and none is found. Equals the package's figure wherever that does not change from
//           run to run by the order of Python's sets.
//   strict  references without an edge leave it out: the mean of the other three, a third each.
//           0 stays 0.
//
// Two empty codes are equal trees of one node without a token: 1/3 strictly.
struct CodeBleu {
  double compat = 0, strict = 0;
  double ngram = 0, weighted_ngram = 0, syntax = 0, data_flow = 0;  // 0 without one
};

// What CodeBLEU needs to know of one example, or of many: then each number is the sum. By order
// from 1 to 4; single tokens of the weighted counts in fifths.
struct CodeBleuCounts {
  std::array<uint64_t, 4> matches{}, totals{};
  std::array<uint64_t, 4> weighted_matches{}, weighted_totals{};
  uint64_t prediction_tokens = 0;
  uint64_t reference_tokens = 0;
  uint64_t examples = 0;
  MatchCounts syntax = {}, data_flow = {};

  CodeBleuCounts& operator+=(const CodeBleuCounts& other);
};

// What CodeBLEU compares of one code.
struct ParsedCode {
  std::vector<std::string> tokens;
  std::vector<uint64_t> subtrees;   // SubtreeHashes
  std::vector<uint64_t> data_flow;  // DataFlowHashes
};

// Blocks for a tenth of a millisecond, more for long code. Errors: those of SyntaxTree::Parse.
absl::StatusOr<ParsedCode> ParseCode(std::string_view code, CodeLanguage language);

CodeBleuCounts CountCodeBleu(const ParsedCode& prediction, const ParsedCode& reference,
                             CodeLanguage language);

// Of the counts of one example, or of the summed counts of a corpus.
CodeBleu ScoreCodeBleu(const CodeBleuCounts& counts);

}  // namespace ddpt
