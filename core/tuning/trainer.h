#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/stop_token.h"
#include "core/diffusion/denoiser.h"
#include "core/tuning/batch_order.h"
#include "core/tuning/micro_batches.h"
#include "core/tuning/options.h"
#include "core/tuning/prepared_examples.h"
#include "core/tuning/prompt_network.h"
#include "core/tuning/tuner.h"

namespace ddpt {

// What one optimizer step did.
struct StepReport {
  double loss = 0;        // mean cross-entropy, nats per token; with BBT over the population too
  double prompt_rms = 0;  // of x0_hat over the batch or population
  double prompt_variance = 0;  // of x0_hat over its draws, relative to its mean square
  Tuner::Metrics tuner = {};   // of GradientTuner or BlackBoxTuner
};

// How the denoiser does on the validation examples through the sampler that will serve it; each
// example under the best of TuningOptions::draws prompts.
struct ValidationReport {
  double nll = 0;            // mean over tokens, nats
  double nll_none = 0;       // the same without a prompt
  double prompt_rms = 0;     // of the sampled prompts without their context
  double prompt_effect = 0;  // mean Kullback-Leibler divergence of the next-token distributions
                             // with the prompt from those without it, nats
  bool best = false;         // of this run so far
};

// Trains one denoiser through a frozen model: a Tuner proposes prompts, which are put in front of
// the instruction (prefixes: keys and values in front of those of the tokens, at first the ones
// that the model has for the context; no network makes them), and improves them by the
// cross-entropy on the reference code, which it back-propagates (GradientTuner) or takes as it is
// (BlackBoxTuner).
//
//   while (!trainer->done()) { Step(); if (trainer->validation_due()) { Validate(); SaveState(); }
//   }
//
// The run is a function of model, options and examples alone: data order and noise come from the
// counter-based generator keyed by (seed, step), so a state restored gives the bytes that an
// unbroken run would have given (same build, processor, thread count). LibTorch's exceptions pass
// through. Not thread-safe; may move between threads between calls.
class Trainer {
 public:
  struct Data {
    std::vector<EncodedExample> train;
    std::vector<EncodedExample> validation;
    std::vector<uint32_t> context_ids;  // of the text of ContextStart::kText
    Tensor start = {};  // E, [n, w], where it is given; without elements: StartingContext
    std::set<std::string> attribute_names = {};  // of the training examples, kMaxAttributes at most
  };

  // `trunks` is for training (three quarters of the memory) and validation together.
  // INVALID_ARGUMENT: what ValidateTuning refuses, no examples, an empty context.
  static absl::StatusOr<std::unique_ptr<Trainer>> Create(std::shared_ptr<const LanguageModel> model,
                                                         const TuningOptions& options, Data data,
                                                         const TrunkStorage& trunks = {});

  int64_t step() const { return static_cast<int64_t>(tuner_->steps()); }
  bool done() const { return step() >= options_.steps; }
  // Whether Validate should be called now: every checkpoint_every steps and at the end.
  bool validation_due() const { return step() % options_.checkpoint_every == 0 || done(); }

  // One optimizer step. FAILED_PRECONDITION where loss or gradient are not finite, or x0_hat
  // exceeds max_prompt_rms; the weights are then those before the step.
  absl::StatusOr<StepReport> Step();
  // Samples prompts as the server would and scores the validation examples; remembers the weights
  // where they are the best so far.
  absl::StatusOr<ValidationReport> Validate(const StopToken& stop = {});
  // The same for another denoiser of this model, sampled by `options`; changes nothing. Its report
  // is never the best. INVALID_ARGUMENT where its prompts do not fit the model.
  absl::StatusOr<ValidationReport> Measure(const std::shared_ptr<const Denoiser>& denoiser,
                                           const SamplingOptions& options,
                                           const StopToken& stop = {});

  // The denoiser file of the best validation, or of the present weights where there was none.
  absl::StatusOr<std::string> BestDenoiser() const;
  double best_nll() const { return best_nll_; }

  // Everything that the rest of the run depends on, as bytes with a checksum, and back. DATA_LOSS
  // for bytes that are not those that were saved, INVALID_ARGUMENT for a state of other options or
  // another model; then nothing has changed.
  std::string SaveState() const;
  absl::Status RestoreState(std::string_view bytes);
  // After a Step that failed: back to a saved state, with half the learning rate (or step size) of
  // then. FAILED_PRECONDITION where that has been done kMostCalmings times.
  static constexpr int64_t kMostCalmings = 3;
  absl::Status CalmDown(std::string_view bytes);

 private:
  Trainer(std::shared_ptr<const LanguageModel> model, const TuningOptions& options, Data data,
          const TrunkStorage& trunks, const Tensor& context);

  std::string Identity() const;
  Tuner::Scores Score(const std::vector<uint64_t>& batch, const at::Tensor& proposed);
  struct Losses {
    at::Tensor mean;  // [], nats per token
    at::Tensor nlls;  // [B], nats
  };
  Losses ScoreOne(const std::vector<uint64_t>& batch, const at::Tensor& x0);
  void RememberBest(double nll);
  // Every tensor of the state by its name in the file, sharing memory.
  std::map<std::string, at::Tensor> StateTensors() const;

  const std::shared_ptr<const LanguageModel> model_;
  const TuningOptions options_;
  const MicroBatchLimits limits_;
  PromptNetwork network_;
  PreparedExamples train_, validation_;
  BatchOrder order_;
  std::unique_ptr<Tuner> tuner_;
  double best_nll_ = std::numeric_limits<double>::infinity();
  std::map<std::string, at::Tensor> best_weights_;  // empty before the first validation
  at::Tensor best_reference_;
  int64_t calmings_ = 0;
};

}  // namespace ddpt
