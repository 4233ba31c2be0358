#include "core/evaluation/bootstrap.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

#include "core/base/philox.h"

namespace ddpt {
namespace {

ExampleCounts DrawnSum(std::span<const ExampleCounts> examples, const NoiseKey& key) {
  ExampleCounts sum;
  std::array<uint32_t, 4> words;
  for (size_t i = 0; i < examples.size(); ++i) {
    if (i % 4 == 0) words = PhiloxBlock(key, static_cast<uint32_t>(i / 4));
    sum += examples[words[i % 4] * examples.size() >> 32];
  }
  return sum;
}

}  // namespace

std::vector<Figures> ResampledFigures(std::span<const ExampleCounts> examples,
                                      const ResampleOptions& options) {
  std::vector<Figures> figures;
  for (uint32_t i = 0; i < options.resamples; ++i) {
    figures.push_back(FiguresOf(DrawnSum(examples, {.seed = options.seed, .sample = i})));
  }
  return figures;
}

Interval PercentileInterval(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t tail = values.size() / 40;
  return {values[tail], values[values.size() - 1 - tail]};
}

double PairedPValue(double difference, std::span<const double> resampled) {
  const auto farther = std::count_if(resampled.begin(), resampled.end(), [&](double value) {
    return std::abs(value - difference) >= std::abs(difference);
  });
  return static_cast<double>(1 + farther) / static_cast<double>(1 + resampled.size());
}

}  // namespace ddpt
