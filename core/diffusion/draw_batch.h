#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "core/base/tensor.h"
#include "core/diffusion/sample_row.h"

namespace ddpt {

class LatentEngine;

// Draws of one denoiser that advance together, each at its own step, with its own sampler, seed,
// condition and guidance. Rows join and leave between calls of Step(). The bytes of a row depend on
// its SampleRow, the denoiser and the engine's arithmetic class alone: not on its neighbours or the
// capacity. Join() and Step() throw std::runtime_error where a GPU fails. Not thread-safe, but for
// Help().
class DrawBatch {
 public:
  struct Finished {
    uint64_t id;
    // float32 [n, w]; or INTERNAL naming the step at which a value was not finite.
    absl::StatusOr<Tensor> result;
  };

  // Where the engine is: on the processor a LatentBatch. INVALID_ARGUMENT for a capacity outside
  // 1..4096; on a GPU also RESOURCE_EXHAUSTED for want of memory.
  static absl::StatusOr<std::unique_ptr<DrawBatch>> Create(
      std::shared_ptr<const LatentEngine> engine, size_t capacity);

  // INVALID_ARGUMENT naming `capacity` outside 1..4096.
  static absl::Status ValidateCapacity(size_t capacity);

  virtual ~DrawBatch() = default;

  // The id of the new row, which takes its first step in the next Step(). INVALID_ARGUMENT as of
  // ValidateRow; RESOURCE_EXHAUSTED where width() is capacity().
  virtual absl::StatusOr<uint64_t> Join(const SampleRow& row) = 0;
  // Takes a row out without a result, in constant time. False where no such row is left.
  virtual bool Remove(uint64_t id) = 0;
  // Advances every row by steps_of_call() steps, or as many as it has left, and returns the rows
  // that ended, in no particular order; they have left the batch. The reference holds until the
  // next call; results may be moved out. Blocks for the arithmetic.
  virtual std::vector<Finished>& Step() = 0;
  virtual size_t steps_of_call() const = 0;

  // Lends this thread to the steps that another takes, as of Team::Help. Worth it for
  // useful_helpers() threads.
  virtual void Help(absl::FunctionRef<bool()> /*leave*/) {}
  virtual size_t useful_helpers() const { return 0; }

  virtual size_t width() const = 0;
  virtual size_t capacity() const = 0;
  virtual const LatentEngine& engine() const = 0;

 protected:
  // RESOURCE_EXHAUSTED where width() is capacity().
  absl::Status CheckRoom() const;
  // INTERNAL, for a state or, after the last step, a result.
  static absl::Status NotFinite(const SamplerTable& table, size_t step);
};

}  // namespace ddpt
