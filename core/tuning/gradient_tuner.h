#pragma once

#include "core/tuning/adamw.h"
#include "core/tuning/options.h"
#include "core/tuning/prepared_examples.h"
#include "core/tuning/prompt_network.h"
#include "core/tuning/tuner.h"

namespace ddpt {

// T u^power, 0..T-1 (0 has the least noise), of a number 0..below 1.
int64_t TimeStep(double uniform, int64_t train_steps, double power);

// DDPT, Eq. 3: draw t for each example, noise x_ref, denoise, and descend the gradient of the loss
// with AdamW; where there are several draws of an example, that of the best one. With method
// kGenerator the same without x and t, with kPromptTuning one prompt directly, with kPrefixTuning
// one prefix. Metrics "learning_rate", "gradient_norm" (before clipping) and, of several draws,
// "best_draw_nll" (nats an example).
class GradientTuner final : public Tuner {
 public:
  // `train` gives the conditions.
  GradientTuner(const TuningOptions& options, const PromptNetwork& network,
                PreparedExamples& train);

  // ON_POLICY's on the way to x_t: few, since the network is all that they cost.
  static constexpr int64_t kPolicySteps = 20;

  uint64_t steps() const override { return optimizer_.steps(); }
  // [M, B, D], differentiable; M is options.draws. [1, 1, D] for kPrefixTuning.
  at::Tensor Propose(const std::vector<uint64_t>& batch) override;
  absl::StatusOr<Metrics> Update(const at::Tensor& proposed, const Scores& scores) override;
  // The moving average of the trained tensors where weight_ema_decay is above 0.
  const std::map<std::string, at::Tensor>& Served() const override {
    return average_.empty() ? network_.trained() : average_;
  }
  const at::Tensor& reference() const override { return reference_; }
  std::map<std::string, at::Tensor> State() const override;
  void set_steps(uint64_t steps) override { optimizer_.set_steps(steps); }
  void Calm() override;

 private:
  struct Draws;
  Draws DrawBatch(const std::vector<uint64_t>& batch);
  // x0_hat [M B, D] of x [M B, D].
  at::Tensor Denoise(const at::Tensor& x, const Draws& draws) const;
  at::Tensor Noised(const Draws& draws) const;
  at::Tensor OnPolicy(const Draws& draws) const;
  // sqrt(alpha-bar_t) x0 + sqrt(1 - alpha-bar_t) noise, [R, D].
  at::Tensor At(const at::Tensor& t, const at::Tensor& x0, const at::Tensor& noise) const;
  void UpdateAverages(const at::Tensor& x0);
  double LearningRate() const;

  const TuningOptions& options_;
  const PromptNetwork& network_;
  PreparedExamples& train_;
  AdamW optimizer_;
  at::Tensor signal_, noise_;                  // [T]: sqrt(alpha-bar), sqrt(1 - alpha-bar)
  at::Tensor reference_;                       // [1, D]: x_ref
  at::Tensor calmness_;                        // [1]: what the learning rate is multiplied by
  std::map<std::string, at::Tensor> average_;  // empty: none is kept
};

}  // namespace ddpt
