#pragma once

#include <cstdint>
#include <span>

namespace ddpt {

// common[n - 1]: how many n-grams two sequences have in common, each as often as both have it, for
// n from 1 to common.size(). Symbols are any numbers. Time and memory grow with the lengths alone.
void CountCommonNgrams(std::span<const uint32_t> some, std::span<const uint32_t> others,
                       std::span<uint64_t> common);

}  // namespace ddpt
