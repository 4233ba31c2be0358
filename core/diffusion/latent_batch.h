#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/tensor.h"
#include "core/diffusion/latent_engine.h"
#include "core/diffusion/packed_affine.h"
#include "core/diffusion/sample_row.h"

namespace ddpt {

// Draws of one denoiser that advance together, each at its own step, with its own sampler, seed,
// condition and guidance. Rows join and leave between steps. The bytes of a row depend on its
// SampleRow and the denoiser alone: not on its neighbours, the capacity or the kernels.
// A step allocates nothing; joining allocates the row's result. Not thread-safe.
class LatentBatch {
 public:
  struct Finished {
    uint64_t id;
    // float32 [n, w]; or INTERNAL naming the step at which a value was not finite.
    absl::StatusOr<Tensor> result;
  };

  // Takes about 40 h bytes a row. INVALID_ARGUMENT for a capacity outside 1..4096.
  static absl::StatusOr<std::unique_ptr<LatentBatch>> Create(
      std::shared_ptr<const LatentEngine> engine, size_t capacity);

  // The id of the new row, which takes its first step in the next Step(). Draws x_T (about 0.1 ms
  // at D = 10,240). INVALID_ARGUMENT as of ValidateRow; RESOURCE_EXHAUSTED where width() is
  // capacity().
  absl::StatusOr<uint64_t> Join(const SampleRow& row);

  // Takes a row out without a result, in constant time. False where no such row is left.
  bool Remove(uint64_t id);

  // Advances every row by one step and returns the rows that ended, in no particular order; they
  // have left the batch. The reference holds until the next call; results may be moved out.
  // Blocks for the arithmetic: tens of microseconds, and milliseconds when rows begin or end.
  std::vector<Finished>& Step();

  // Steps that the row has taken; 0 for an unknown id.
  int64_t StepsTaken(uint64_t id) const;
  size_t width() const { return active_.size(); }
  size_t capacity() const { return slots_.size(); }
  const LatentEngine& engine() const { return *engine_; }

 private:
  struct Slot {
    uint64_t id = 0;      // 0: free
    size_t position = 0;  // in active_
    size_t next_step = 0;
    SampleRow row;
    std::shared_ptr<const SamplerTable> table = nullptr;
    Tensor result = {};          // holds x_T until the end
    const float* phi = nullptr;  // of the step under way
  };

  LatentBatch(std::shared_ptr<const LatentEngine> engine, size_t capacity);
  float* RowOf(AlignedFloats& floats, size_t row) { return floats.data() + row * latent_; }
  const SamplerStep& StepOf(const Slot& slot) const { return slot.table->steps[slot.next_step]; }

  void SetCondition(size_t index);
  void Begin();
  void ComputePhi();
  void AddNoise();
  void Advance();
  void FinishRows();
  void FinishX0(size_t count);
  void FinishResidual(size_t begin, size_t count);
  void AddResidualNoise(size_t index, float* out);
  void Report(size_t index);
  void Fail(size_t index);
  void Release(size_t index);

  const std::shared_ptr<const LatentEngine> engine_;
  const Kernels& kernels_;
  const size_t latent_;
  uint64_t joined_ = 0;
  std::vector<Slot> slots_;
  std::vector<size_t> active_, free_;  // indices of slots
  std::vector<size_t> ending_;         // slots whose last step is under way
  std::vector<Finished> finished_;

  // [capacity, h], by slot.
  AlignedFloats state_, before_, condition_, phi_sum_, noise_sum_;
  AlignedFloats null_condition_;         // [h]
  AlignedFloats lanes_, inner_;          // [2 * capacity, h], by branch
  AlignedFloats draws_, noise_;          // [capacity, h], by row with noise
  AlignedFloats full_;                   // [rows that end together + 1, D]; residual readings only
  std::vector<double> solve_;            // [h]
  std::vector<const float*> in_;         // [2 * capacity]
  std::vector<float*> out_;              // [2 * capacity]
  std::vector<const float*> row_noise_;  // [capacity], by position in active_
};

}  // namespace ddpt
