#include "client/bench.h"

#include <algorithm>
#include <chrono>

#include "core/base/status.h"

namespace ddpt {

std::string BenchResult::bound() const {
  return flop / peak_flops > bytes / peak_bandwidth ? "flops" : "bandwidth";
}

double BenchResult::share_of_peak() const {
  return std::max(flop / peak_flops, bytes / peak_bandwidth) / median();
}

absl::Status TimeRuns(size_t runs, const std::function<absl::Status()>& run,
                      const std::function<void(size_t)>& on_run, BenchResult& result) {
  DDPT_RETURN_IF_ERROR(run());
  for (size_t done = 0; done < runs; ++done) {
    const auto begin = std::chrono::steady_clock::now();
    DDPT_RETURN_IF_ERROR(run());
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
    result.seconds.push_back(time.count());
    on_run(done + 1);
  }
  std::sort(result.seconds.begin(), result.seconds.end());
  return absl::OkStatus();
}

}  // namespace ddpt
