#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "core/base/team.h"
#include "core/base/tensor.h"
#include "core/diffusion/draw_batch.h"
#include "core/diffusion/latent_engine.h"
#include "core/diffusion/latent_step.h"
#include "core/diffusion/packed_affine.h"
#include "core/diffusion/row_slots.h"
#include "core/diffusion/sample_row.h"

namespace ddpt {

// A DrawBatch on the processor, one step a call. The bytes of a row do not depend on the kernels or
// the helpers. A step allocates nothing; joining allocates the row's result.
class LatentBatch final : public DrawBatch {
 public:
  // Takes about 40 h bytes a row. INVALID_ARGUMENT for a capacity outside 1..4096.
  static absl::StatusOr<std::unique_ptr<LatentBatch>> Create(
      std::shared_ptr<const LatentEngine> engine, size_t capacity);

  absl::StatusOr<uint64_t> Join(const SampleRow& row) override;
  bool Remove(uint64_t id) override;
  // Blocks for tens of microseconds, and milliseconds when rows begin or end.
  std::vector<Finished>& Step() override;
  size_t steps_of_call() const override { return 1; }

  // Helpers share the outputs of each map, of many rows those; 0 are worth it for a small denoiser,
  // up to 7 for others.
  void Help(absl::FunctionRef<bool()> leave) override { team_.Help(leave); }
  size_t useful_helpers() const override;
  // Thread-safe.
  size_t helpers() const { return team_.helpers(); }

  // Steps that the row has taken; 0 for an unknown id.
  int64_t StepsTaken(uint64_t id) const;
  size_t width() const override { return places_.active().size(); }
  size_t capacity() const override { return slots_.size(); }
  const LatentEngine& engine() const override { return *engine_; }

 private:
  struct Slot {
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
  RowSlots places_;
  std::vector<Slot> slots_;     // by their place in places_
  std::vector<size_t> ending_;  // places whose last step is under way
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
