#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/stop_token.h"
#include "core/base/tensor.h"
#include "core/diffusion/latent_engine.h"
#include "core/diffusion/sample_row.h"
#include "core/diffusion/sampling_cost.h"
#include "core/diffusion/spare_batch.h"
#include "core/runtime/step_group.h"

namespace ddpt {

// Draws of one denoiser that one caller wants: the same options, seed and condition, the draw
// indices first_draw, first_draw + 1, ...
struct Draws {
  std::shared_ptr<const LatentEngine> engine;
  std::shared_ptr<SpareBatch> spare;  // of the engine
  SamplingOptions options;
  bool full_space_noise = false;  // by FullSpaceSampler instead of DrawBatch
  uint64_t seed = 0;
  uint64_t first_draw = 0;
  size_t count = 1;
  std::vector<float> condition;  // [C] or empty
  Tensor initial_noise;          // [count, n, w], or empty: from the seed
  SamplingCost cost;
  // Take fewer steps than `options` says where that many are not done by `finish_by`.
  bool anytime = false;
  TimePoint finish_by = TimePoint::max();
  StopToken stop;
  std::function<void()> on_start;  // service begins; may be null

  // The draw `index` of 0..count-1.
  SampleRow Row(size_t index) const;
};

struct DrawnPrompts {
  std::vector<Tensor> prompts;  // count of [n, w], context included
  StepStats stats;
};
// Called once, on a worker.
using DrawsDone = std::function<void(absl::StatusOr<DrawnPrompts>)>;

// Draws as a job for StepBatcher: each draw is a row of a DrawBatch of up to `capacity` rows.
class SampleJob final : public StepJob {
 public:
  SampleJob(Draws draws, size_t capacity, DrawsDone done);

  size_t rows() const override { return draws_.count; }
  const StopToken& stop() const override { return draws_.stop; }
  absl::StatusOr<std::unique_ptr<StepGroup>> MakeGroup() override;
  void Done(const absl::Status& status, const StepStats& stats) override;

  // For the group: the row's parameters, and its result.
  SampleRow Row(size_t index);
  void Deliver(size_t index, Tensor prompt) { prompts_[index] = std::move(prompt); }

 private:
  Draws draws_;
  const size_t capacity_;
  DrawsDone done_;
  std::vector<Tensor> prompts_;
};

}  // namespace ddpt
