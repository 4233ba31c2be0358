#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/base/stop_token.h"
#include "core/evaluation/figures.h"

namespace ddpt {

// How sure figures are, by resampling the examples (Efron and Tibshirani 1993; Koehn 2004).

struct ResampleOptions {
  uint32_t resamples = 1000;
  uint64_t seed = 1;
  StopToken stop = {};  // looked at before each resample; where it stops, there are fewer
};

// Which of n examples a resample draws, n of them with replacement: example word n / 2^32 for each
// word of Philox. So it is a function of the seed, the resample and n alone, and the resamples of
// two methods on the same examples are pairs.
std::vector<uint32_t> DrawExamples(size_t examples, uint32_t resample,
                                   const ResampleOptions& options);

// What figures_of says of the sum (+=) of the counts of each resample's examples.
template <typename Counts, typename FiguresOf>
auto Resampled(std::span<const Counts> examples, const ResampleOptions& options,
               const FiguresOf& figures_of) {
  std::vector<decltype(figures_of(examples[0]))> figures;
  for (uint32_t i = 0; i < options.resamples && !options.stop.stopped(); ++i) {
    Counts sum = {};
    for (const uint32_t drawn : DrawExamples(examples.size(), i, options)) sum += examples[drawn];
    figures.push_back(figures_of(sum));
  }
  return figures;
}

// The figures of corpora of as many examples, drawn with replacement.
std::vector<Figures> ResampledFigures(std::span<const ExampleCounts> examples,
                                      const ResampleOptions& options);

// The predictions of one method: their figures, and those of resamples of the examples.
struct MethodFigures {
  Figures figures = {};
  std::vector<Figures> resampled = {};  // empty: no intervals
};

MethodFigures MeasureMethod(std::span<const ExampleCounts> examples,
                            const ResampleOptions& options);

// The means of as many values, at least one, drawn in the same way.
std::vector<double> ResampledMeans(std::span<const double> values, const ResampleOptions& options);

struct Interval {
  double low, high;
};

// 95 %: what is left of the values without the smallest and the largest fortieth of them; at least
// one value.
Interval PercentileInterval(std::vector<double> values);

// The two-sided p-value of a difference between two methods, given the differences of the pairs of
// resamples, by the paired bootstrap test: if the methods were alike, differences would lie about 0
// as the resamples' do about the one that was found (Efron and Tibshirani 1993, 16.2). So it is the
// share of resamples that are at least as far from that as it is from 0: (1 + how many) / (1 +
// resamples).
double PairedPValue(double difference, std::span<const double> resampled);

}  // namespace ddpt
