#pragma once

#include <string_view>
#include <vector>

namespace ddpt {

// Cuts valid UTF-8 into the words inside which BPE merges, as GPT-2's regular expression does:
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
// The views point into `text`; joined they are `text`. Linear in its length.
std::vector<std::string_view> SplitWords(std::string_view text);

}  // namespace ddpt
