#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "core/diffusion/latent_engine.h"

namespace ddpt {

// How long draws of one denoiser take on this machine while nothing else runs on it: measured
// times, so good for estimates only. Plain values.
struct SamplingCost {
  using Time = std::chrono::duration<double>;  // seconds

  Time ends{0};   // W x_T and U phi of one row
  Time step{0};   // a step of one row without noise
  Time row{0};    // what each further row adds to a step
  Time noise{0};  // what noise adds to a step, for each row that draws it

  // A step of `width` >= 1 rows.
  Time Step(size_t width, bool stochastic) const;
  // `steps` steps of `width` rows, from their start to their end.
  Time Of(int64_t steps, size_t width, bool stochastic) const;
  // The most steps of `width` rows, from their start to their end, that `time` has room for; 0
  // where not even one fits.
  int64_t StepsWithin(Time time, size_t width, bool stochastic) const;
};

// Draws a few prompts of a few steps, alone and then with at most `helpers` threads beside this
// one, three times each, and takes the shortest time of each part. Blocks for some ten milliseconds
// at D = 10,240, h = 256, and for a hundred at h = 1024. Errors are DrawBatch's.
absl::StatusOr<SamplingCost> MeasureSamplingCost(std::shared_ptr<const LatentEngine> engine,
                                                 size_t helpers = 0);

}  // namespace ddpt
