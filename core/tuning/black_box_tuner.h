#pragma once

#include "core/model/language_model.h"
#include "core/tuning/cma_es.h"
#include "core/tuning/options.h"
#include "core/tuning/prompt_network.h"
#include "core/tuning/tuner.h"

namespace ddpt {

// Black-box tuning, BBT (Sun et al. 2022, "Black-Box Tuning for Language-Model-as-a-Service",
// ICML): the one prompt context + u without gradients. u = A z with a fixed random A [D, d]; CMA-ES
// searches z, one generation a step, all of it scored on the same batch. A's elements are normal
// with the standard deviation of the model's embeddings over sqrt(d), so that sigma 1 starts with
// prompts as far from the context as embeddings are from one another; a function of `seed` alone.
// u is that of the search's mean: the best candidate of a minibatch is the best by chance too.
// Metrics "evaluations" (prompts scored so far), "best_loss" (of the generation) and "sigma".
class BlackBoxTuner final : public Tuner {
 public:
  BlackBoxTuner(const TuningOptions& options, const LanguageModel& model,
                const PromptNetwork& network);

  uint64_t steps() const override { return search_.generation(); }
  // [population, 1, D].
  at::Tensor Propose(const std::vector<uint64_t>& batch) override;
  absl::StatusOr<Metrics> Update(const at::Tensor& proposed, const Scores& scores) override;
  const std::map<std::string, at::Tensor>& Served() const override { return network_.trained(); }
  // Zero.
  const at::Tensor& reference() const override { return reference_; }
  std::map<std::string, at::Tensor> State() const override { return search_.State(); }
  void set_steps(uint64_t steps) override { search_.set_generation(steps); }
  void Calm() override { search_.HalveSigma(); }

 private:
  const PromptNetwork& network_;
  CmaEs search_;
  at::Tensor prompt_;      // [D]: u, the network's
  at::Tensor projection_;  // [D, d]: A
  at::Tensor reference_;   // [1, D]
};

}  // namespace ddpt
