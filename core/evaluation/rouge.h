#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ddpt {

// ROUGE-L of code against one reference each (Lin 2004), 0 to 1; of a corpus, the mean over its
// examples. What decides the figure:
//
//   tokens      in small letters, the runs of a-z and 0-9: operators, quotes, underscores and line
//               ends are not seen, `a+b` equals `a-b`. No stemmer.
//   score       F1 of precision l / c and recall l / r, for c tokens of the prediction, r of the
//               reference and the l of their longest common subsequence
//   nothing     without a common token, and so for an empty text on either side, even where both
//               are empty: 0
//
// This is rougeL, not rougeLsum, of Google's rouge_score without stemmer.
double RougeL(std::string_view prediction, std::string_view reference);

std::vector<std::string> RougeTokens(std::string_view code);

}  // namespace ddpt
