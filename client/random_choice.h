#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

namespace ddpt {

// `count` different ones of 0, ..., total - 1 in the order in which they were drawn, all where
// there are fewer: a function of the arguments alone.
inline std::vector<uint32_t> ChooseAtRandom(uint32_t total, uint32_t count, uint64_t seed) {
  std::vector<uint32_t> chosen(total);
  std::iota(chosen.begin(), chosen.end(), 0);
  std::mt19937_64 engine(seed);
  count = std::min(count, total);
  for (uint32_t i = 0; i < count; ++i) std::swap(chosen[i], chosen[i + engine() % (total - i)]);
  chosen.resize(count);
  return chosen;
}

}  // namespace ddpt
