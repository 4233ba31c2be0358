#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace ddpt {

// BLEU-4 of code against one reference each (Papineni et al. 2002), 0 to 1. Figures that go by this
// name differ by tens of points on short code, so here is all that decides them:
//
//   tokens      CodeTokens below; case is kept, white space is not looked at
//   corpus      n-gram counts and lengths are summed over the examples, then divided: the geometric
//               mean of the clipped precisions of orders 1 to 4, times exp(1 - r / c) where the
//               predictions have c tokens, fewer than the references' r. No smoothing.
//   sentence    the same of one example, with 1 added to both counts of orders 2 to 4 (Lin and Och
//               2004). Means of it are not the corpus's figure.
//   short code  orders longer than every prediction are left out of the corpus's mean; with
//               smoothing they count as 1 / 1. Identical texts score 1 however short they are.
//   nothing     without a common token, and so for an empty prediction: 0
//
// These are sacrebleu's corpus score with smoothing "none" and its sentence score with "add-k"
// (k = 1), both with effective order, of CodeTokens joined by spaces (tokenizer "none").

// The largest runs of letters, digits, underscores and bytes above 127; every other character that
// is not ASCII white space is a token of its own. `a_1+=f("x")` has the tokens a_1 + = f ( " x " ).
// They point into `code`.
std::vector<std::string_view> CodeTokens(std::string_view code);

// What BLEU needs to know of one example, or of many: then each number is the sum.
struct BleuCounts {
  std::array<uint64_t, 4> matches{};  // n-grams of the prediction that the reference has too, each
                                      // at most as often as it does; by order
  std::array<uint64_t, 4> totals{};   // n-grams of the prediction
  uint64_t prediction_tokens = 0;
  uint64_t reference_tokens = 0;

  BleuCounts& operator+=(const BleuCounts& other);
};

BleuCounts CountBleu(std::string_view prediction, std::string_view reference);

// Of the summed counts of a corpus.
double CorpusBleu(const BleuCounts& counts);
// Of the counts of one example.
double SentenceBleu(const BleuCounts& counts);

}  // namespace ddpt
