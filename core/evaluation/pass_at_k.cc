#include "core/evaluation/pass_at_k.h"

namespace ddpt {

double PassAtK(const SampleCount& count, uint32_t k) {
  const uint32_t wrong = count.samples - count.passed;
  if (wrong < k) return 1;
  double none = 1;  // that all k are wrong
  for (uint32_t i = wrong + 1; i <= count.samples; ++i) none *= 1 - static_cast<double>(k) / i;
  return 1 - none;
}

std::vector<double> PassesAtK(std::span<const SampleCount> counts, uint32_t k) {
  std::vector<double> passes;
  for (const SampleCount& count : counts) passes.push_back(PassAtK(count, k));
  return passes;
}

}  // namespace ddpt
