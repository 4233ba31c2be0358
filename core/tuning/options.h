#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "core/diffusion/denoiser_spec.h"
#include "core/diffusion/sampling.h"
#include "core/model/geometry.h"
#include "core/tuning/prompt_encoder.h"

namespace ddpt {

// AdamW by gradients, or black-box tuning (BBT): CMA-ES in a random subspace, without them.
enum class Optimizer { kAdamW, kBbt };

// Where the context E that the method starts from, and adds to, comes from: the tokens of a text,
// tokens of the vocabulary drawn at random, or normal vectors that vary as the embeddings do.
enum class ContextStart { kText, kVocabulary, kRandom };

// How a prompt is tuned. Budgets count optimizer steps, never seconds, so that a run can be
// repeated.
struct TuningOptions {
  Method method = Method::kDdpt;            // any but kRandom
  Optimizer optimizer = Optimizer::kAdamW;  // kBbt: kPromptTuning only
  uint64_t seed = 0;                        // of initial weights, noise and data order
  int64_t steps = 300;                      // 1..1,000,000
  int64_t batch_size = 32;                  // 1..1,024
  // Examples that go through the model at once; the gradients of a step's pieces are added up. A
  // matter of memory, latency and rounding. 0: as MicroBatchLimitsFor has it. 0..1,024
  int64_t micro_batch_size = 0;
  int64_t checkpoint_every = 50;  // 1..1,000,000 steps between validations and checkpoints

  // AdamW.
  double learning_rate = 1e-3;  // peak, above 0..1; linear warm-up, then a cosine to a tenth
  int64_t warmup_steps = 15;    // 0..steps
  double weight_decay = 0;      // 0..1, decoupled (AdamW)
  double weight_ema_decay =
      0;                 // 0..below 1: weights are served as their moving average; 0: as last
  double clip_norm = 1;  // above 0..1e6: bound of the global gradient norm

  // BBT, whose steps are generations.
  int64_t subspace_width = 500;  // d, 1..500
  int64_t population = 20;       // lambda, 4..1,024 prompts a generation
  double sigma = 1;              // initial step size, above 0..100; 1: the embeddings' deviation

  // P-tuning: the one prompt of kPromptTuning is the output of this network.
  std::optional<PromptEncoder::Kind> prompt_encoder = std::nullopt;
  int64_t prompt_encoder_width = 256;  // m, 1..1,024

  int64_t context_length = 10;  // n, 1..64
  ContextStart context_start = ContextStart::kText;
  // kPrefixTuning, which needs neither latent nor layers: where its keys and values stand.
  PrefixPlace prefix_place = PrefixPlace::kAll;
  int64_t latent = 64;         // h, 1..1,024
  int64_t layers = 2;          // 0..8
  int64_t train_steps = 2000;  // T, 1..10,000
  Reading reading = Reading::kX0;
  Reference reference = Reference::kEma;
  double ema_decay = 0.99;         // 0..below 1
  double time_step_power = 1;      // above 0..10, kDdpt only: t = T u^power, u uniform
  bool conditional = false;        // on the frozen encoder's mean-pooled states of the instruction
  double condition_dropout = 0.1;  // 0..0.9
  // M, 1..64, kDdpt only: prompts drawn for each example. With more than one an example's loss is
  // that of the draw which is best for it (multiple choice learning, Guzman-Rivera et al. 2012), so
  // that draws part where several answers are right; Eq. 3 gives them no reason to.
  int64_t draws = 1;

  // The run fails when the root mean square of a prompt's x0_hat exceeds this (embeddings are of
  // order 0.05): drift of the moving-average reference shows there before it shows in the loss.
  double max_prompt_rms = 2;  // above 0..1e6
  // The sampler that will serve; checkpoints are chosen through it.
  SamplingOptions validation = {};
};

// FieldError "options.<field>" with the value and the limit.
absl::Status ValidateTuning(const TuningOptions& options);

// The width of the prompts that these options make for a model: the encoder's, or that of a prefix.
int64_t PromptWidth(const TuningOptions& options, const ModelGeometry& geometry);
// FieldError where valid options do not fit the model: prompts that are too large for a denoiser
// file, or a prefix that could not be told from a soft prompt.
absl::Status FitTuning(const TuningOptions& options, const ModelGeometry& geometry);

// The spec of the denoiser that these options make, for prompts of width `width`.
DenoiserSpec TunedSpec(const TuningOptions& options, int64_t width,
                       const std::string& model_digest);

}  // namespace ddpt
