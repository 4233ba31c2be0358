#pragma once

#include <atomic>
#include <chrono>
#include <memory>

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

  // Looks at the time left before anything is queued. With `draws.anytime` lowers the steps to
  // those that will be done by `draws.finish_by` as the workers are loaded; else, and where not
  // even one step is: DEADLINE_EXCEEDED if even idle workers would need longer.
  absl::Status FitIntoTime(Draws& draws) const;

  // Does not block. `draws` must be valid for their denoiser (ValidateRow). `ticket` is held until
  // after `done`.
  void Draw(Draws draws, Admission::Ticket ticket, DrawsDone done);
  // Denoisers with prompts on their way.
  size_t denoisers_in_use() const { return batcher_.LoadBeside("").keys; }
  // Ends everything with UNAVAILABLE within a step. Does not block.
  void Stop() { batcher_.Stop(); }

 private:
  // How rows pass: as many as there is room for at a time.
  struct Rounds {
    double rounds;
    size_t width;  // branches of guidance counted
    bool stochastic;
  };
  Rounds RoundsOf(const Draws& draws, size_t rows) const;
  int64_t StepsWithin(SamplingCost::Time time, const Draws& draws, size_t rows) const;
  SamplingCost::Time TimeOnIdleWorkers(const Draws& draws) const;
  void LearnSlowness(double seen);
  void DrawInFullSpace(Draws draws, Admission::Ticket ticket, DrawsDone done);

  const Options options_;
  StreamPool& pool_;
  StreamPool& reference_;
  Metrics& metrics_;
  // How much longer draws have taken lately than on an idle server. A guess: an update may be lost.
  std::atomic<double> slowness_{1};
  StepBatcher batcher_;
};

}  // namespace ddpt
