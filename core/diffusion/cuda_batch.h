#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/diffusion/cuda_kernels.h"
#include "core/diffusion/cuda_memory.h"
#include "core/diffusion/draw_batch.h"
#include "core/diffusion/latent_engine.h"
#include "core/diffusion/row_slots.h"

namespace ddpt::cuda {

// A denoiser on a GPU, in the forms that the kernels read.
struct Weights {
  // The GPU is the current one of the calling thread. Throws CudaError.
  Weights(const LatentEngine& engine, int number);

  // Makes the GPU the current one of the calling thread.
  void Use() const { Check(cudaSetDevice(number)); }

  int number;
  Device device;
  Buffer<std::byte> maps;
  Buffer<float> bias, time, null_condition, down_panels, up_panels, up_bias, context;
  Latent latent;
  Affine down, up;
};

// A DrawBatch whose rows stay on a GPU between calls. A call is a few launches: those that begin
// draw x_T and map it to R^h, all take their steps, those that end come back to R^D, a part of them
// at a time, so that the GPU computes one part while the one before is copied.
class Batch final : public DrawBatch {
 public:
  // Throws CudaError.
  Batch(std::shared_ptr<const LatentEngine> engine, std::shared_ptr<const Weights> weights,
        size_t capacity);

  absl::StatusOr<uint64_t> Join(const SampleRow& row) override;
  bool Remove(uint64_t id) override;
  std::vector<Finished>& Step() override;
  size_t steps_of_call() const override { return kSteps; }
  size_t width() const override { return places_.active().size(); }
  size_t capacity() const override { return slots_.size(); }
  const LatentEngine& engine() const override { return *engine_; }

 private:
  // Enough for a launch to be of no account, few enough for others to join within milliseconds.
  static constexpr size_t kSteps = 256;
  static constexpr size_t kRowsThatBegin = 1024, kRowsThatEnd = 64;  // at the same time
  // Sampler tables kept without rows that use them.
  static constexpr size_t kSpareTables = 16;

  struct Table {
    std::shared_ptr<const SamplerTable> table;
    Buffer<cuda::Step> steps;
  };
  struct Slot {
    size_t next_step = 0;
    SampleRow row;
    std::shared_ptr<const Table> table = nullptr;
    std::vector<float> condition;  // K c, until the first step
  };
  struct Ending {
    size_t index;  // its place
    size_t row;    // of the launch
  };
  // Results on their way.
  struct Part {
    explicit Part(size_t values) : here(values), there(values) {}
    HostBuffer<float> here;  // [kRowsThatEnd, D]
    Buffer<float> there;
    Mark done;
  };

  std::shared_ptr<const Table> TableOf(const SamplingOptions& options);
  Row ToRow(const Slot& slot, size_t index) const;
  void ListRows();
  void BeginRows();
  void TakeAllSteps();
  void EndSteps();
  void FinishRows();
  void StartPart(size_t part);
  void CollectPart(size_t part);
  void Fail(size_t index, size_t step);
  void Release(size_t index);

  const std::shared_ptr<const LatentEngine> engine_;
  const std::shared_ptr<const Weights> weights_;
  const size_t latent_, size_;
  RowSlots places_;
  std::vector<Slot> slots_;        // by their place
  std::vector<size_t> order_;      // of the launch: places without guidance, then those with it
  size_t unguided_ = 0;            // of order_
  std::vector<size_t> beginning_;  // places, those that draw x_T first
  size_t drawn_ = 0;               // of beginning_
  std::vector<Ending> ending_;
  std::vector<Finished> finished_;
  std::vector<std::shared_ptr<const Table>> tables_;

  const OwnStream stream_;
  Buffer<float> state_, before_, phi_, condition_;  // [capacity, h], by slot
  HostBuffer<Row> rows_here_;                       // [2 * capacity]: of the launch, then beginning
  Buffer<Row> rows_;
  HostBuffer<int> slots_here_;  // [2 * capacity]: beginning, then ending
  Buffer<int> slots_there_;
  HostBuffer<uint8_t> with_context_here_;  // [capacity], of those that end
  Buffer<uint8_t> with_context_;
  HostBuffer<int> marks_here_;  // [2 * capacity]: failed steps of the launch, then bad results
  Buffer<int> marks_;
  Buffer<float> initial_noise_;  // [min(kRowsThatBegin, capacity), D]
  Part parts_[2];
};

}  // namespace ddpt::cuda
