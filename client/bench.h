#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace ddpt {

// What a benchmark found out: times, the work of a run, and what the machine could do at most.
struct BenchResult {
  std::vector<double> seconds;  // of each run, ascending
  double flop = 0;              // arithmetic of a run, a multiply-add being two
  double bytes = 0;             // that a run must read at least
  // What its threads can do at most, measured; 0 where nobody measured.
  double peak_flops = 0;      // float32 FLOP/s
  double peak_bandwidth = 0;  // bytes/s read

  double median() const { return seconds[seconds.size() / 2]; }
  bool has_peaks() const { return peak_flops > 0; }
  // Which of the two measured limits allows the smaller speed: "flops" or "bandwidth".
  std::string bound() const;
  // The time that a run would take at that limit, over its median time: 0..1.
  double share_of_peak() const;
};

// Runs `run` once, then `runs` times (at least 1) on the clock; fills `result.seconds`. `on_run` is
// told the number of timed runs done. Blocks; the first error ends it.
absl::Status TimeRuns(size_t runs, const std::function<absl::Status()>& run,
                      const std::function<void(size_t)>& on_run, BenchResult& result);

}  // namespace ddpt
