#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace ddpt {

// What became of the samples of one problem.
struct SampleCount {
  uint32_t samples;
  uint32_t passed;  // 0 .. samples
};

// The probability that at least one of k samples passes, 0 to 1, by its unbiased estimator from
// `count.samples` of them, at least k (Chen et al. 2021): 1 - C(n - c, k) / C(n, k), as a product
// of c factors between 0 and 1. k is at least 1.
double PassAtK(const SampleCount& count, uint32_t k);

// Of each problem; each has at least k samples.
std::vector<double> PassesAtK(std::span<const SampleCount> counts, uint32_t k);

}  // namespace ddpt
