#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "core/base/team.h"
#include "core/base/tensor.h"
#include "core/diffusion/latent_engine.h"
#include "core/diffusion/latent_step.h"
#include "core/diffusion/packed_affine.h"
#include "core/diffusion/sample_row.h"

namespace ddpt {

// Draws of one denoiser that advance together, each at its own step, with its own sampler, seed,
// condition and guidance. Rows join and leave between steps. The bytes of a row depend on its
// SampleRow and the denoiser alone: not on its neighbours, the capacity, the kernels or the
// helpers. A step allocates nothing; joining allocates the row's result. Not thread-safe, but for
// Help() and helpers().
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

  // The id of the new row, which takes its first step in the next Step(). INVALID_ARGUMENT as of
  // ValidateRow; RESOURCE_EXHAUSTED where width() is capacity().
  absl::StatusOr<uint64_t> Join(const SampleRow& row);

  // Takes a row out without a result, in constant time. False where no such row is left.
  bool Remove(uint64_t id);

  // Advances every row by one step and returns the rows that ended, in no particular order; they
  // have left the batch. The reference holds until the next call; results may be moved out.
  // Blocks for the arithmetic: tens of microseconds, and milliseconds when rows begin or end.
  std::vector<Finished>& Step();

  // Lends this thread to the steps that another takes, as of Team::Help: they share the outputs of
  // each map. Worth it for useful_helpers() threads, 0 for a small denoiser to 7.
  void Help(absl::FunctionRef<bool()> leave) { team_.Help(leave); }
  size_t useful_helpers() const;
  size_t helpers() const { return team_.helpers(); }

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
    bool draws_begin = false;    // x_T comes from the seed
    Tensor result = {};          // holds x_T until the end
    const float* phi = nullptr;  // of the step under way
  };

  LatentBatch(std::shared_ptr<const LatentEngine> engine, size_t capacity);
  float* RowOf(AlignedFloats& floats, size_t row) { return floats.data() + row * latent_; }

  void Apply(const AffineView& map);
  void ApplyToOne(const AffineView& map, const float* in, float* out);
  void ListRows();
  void EndStep();
  void FinishRows();
  void FinishX0();
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
  AlignedFloats full_;            // [rows that end together + 1, D]; residual readings only
  AlignedFloats inner_;           // [h]
  std::vector<double> solve_;     // [h]
  std::vector<const float*> in_;  // of rows that end
  std::vector<float*> out_;
  LatentStep step_;
  Team team_;
};

}  // namespace ddpt
