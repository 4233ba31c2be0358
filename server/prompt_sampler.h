#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "core/runtime/admission.h"
#include "core/runtime/step_batcher.h"
#include "core/runtime/stream_pool.h"
#include "server/metrics.h"
#include "server/sample_job.h"

namespace ddpt {

// Draws prompts on the workers: in latent batches shared with other callers' draws, or, where the
// caller wants noise of the full space, one after another by the reference loop on a thread apart.
// Thread-safe; the pools and the metrics must outlive it.
class PromptSampler {
 public:
  struct Options {
    size_t batch_capacity = 32;  // rows of one denoiser that advance together
  };

  PromptSampler(Options options, StreamPool& pool, StreamPool& reference, Metrics& metrics);

  // Does not block. `draws` must be valid for their denoiser (ValidateRow). `ticket` is held until
  // after `done`.
  void Draw(Draws draws, Admission::Ticket ticket, DrawsDone done);
  // Ends everything with UNAVAILABLE within a step. Does not block.
  void Stop() { batcher_.Stop(); }

 private:
  void DrawInFullSpace(Draws draws, Admission::Ticket ticket, DrawsDone done);

  const Options options_;
  StreamPool& reference_;
  Metrics& metrics_;
  StepBatcher batcher_;
};

}  // namespace ddpt
