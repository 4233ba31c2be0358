#include "core/evaluation/bootstrap.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

#include "core/base/philox.h"

namespace ddpt {

std::vector<uint32_t> DrawExamples(size_t examples, uint32_t resample,
                                   const ResampleOptions& options) {
  const NoiseKey key{.seed = options.seed, .sample = resample};
  std::vector<uint32_t> drawn(examples);
  std::array<uint32_t, 4> words;
  for (size_t i = 0; i < examples; ++i) {
    if (i % 4 == 0) words = PhiloxBlock(key, static_cast<uint32_t>(i / 4));
    drawn[i] = static_cast<uint32_t>(words[i % 4] * examples >> 32);
  }
  return drawn;
}

std::vector<Figures> ResampledFigures(std::span<const ExampleCounts> examples,
                                      const ResampleOptions& options) {
  return Resampled(examples, options, FiguresOf);
}

MethodFigures MeasureMethod(std::span<const ExampleCounts> examples,
                            const ResampleOptions& options) {
  return {FiguresOf(Sum(examples)), ResampledFigures(examples, options)};
}

std::vector<double> ResampledMeans(std::span<const double> values, const ResampleOptions& options) {
  const auto count = static_cast<double>(values.size());
  return Resampled(values, options, [count](double sum) { return sum / count; });
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
