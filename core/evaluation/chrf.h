#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace ddpt {

// chrF of code against one reference each (Popovic 2015), 0 to 1 like BLEU-4 here (sacrebleu prints
// 100 times as much). What decides the figure:
//
//   characters  Unicode code points, case kept, without white space (what Python's str.split takes
//               for it). Each maximal ill-formed subpart of UTF-8 (Unicode 3.9) is one U+FFFD.
//   n-grams     of orders 1 to 6, across what white space parted; no n-grams of words
//   corpus      counts are summed over the examples, then precision and recall are averaged over
//               the orders and joined by F with beta = 2
//   short code  an order that no prediction or no reference is long enough for is left out of the
//               averages. An example whose reference is too short for an order gives no n-grams of
//               its prediction to it.
//   nothing     without a common character, and so for an empty text on either side, even where
//               both are empty: 0
//
// This is sacrebleu's CHRF() (char_order 6, word_order 0, beta 2, no eps_smoothing), corpus and
// sentence score alike.

// What chrF needs to know of one example, or of many: then each number is the sum. By order.
struct ChrfCounts {
  // n-grams of the prediction that the reference has too, each at most as often as it does.
  std::array<uint64_t, 6> matches{};
  // n-grams of the prediction; 0 where the reference has none.
  std::array<uint64_t, 6> prediction{};
  // n-grams of the reference.
  std::array<uint64_t, 6> reference{};

  ChrfCounts& operator+=(const ChrfCounts& other);
};

ChrfCounts CountChrf(std::string_view prediction, std::string_view reference);

// Of the counts of one example, or of the summed counts of a corpus.
double Chrf(const ChrfCounts& counts);

}  // namespace ddpt
