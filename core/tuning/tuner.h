#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace ddpt {

// How the trained tensors of a PromptNetwork get better: it proposes x0_hat, the caller scores the
// prompts context + x0_hat on the batch, and it takes one optimizer step by their losses. Keeps
// references to what it is made with. Not thread-safe.
class Tuner {
 public:
  using Metrics = std::map<std::string, double>;
  struct Scores {
    at::Tensor losses;    // [G], finite: nats per token
    at::Tensor nlls;      // [G, B], of each example, nats
    at::Tensor gradient;  // of the losses' sum, as x0_hat; undefined where x0_hat requires none
  };

  virtual ~Tuner() = default;

  // Optimizer steps taken.
  virtual uint64_t steps() const = 0;
  // x0_hat [G, R, D] to be scored on the batch, one loss for each of the G; R is the batch's size,
  // a prompt for each example, or 1, the same for all. The batch is that of step steps().
  virtual at::Tensor Propose(const std::vector<uint64_t>& batch) = 0;
  // One step by the scores of what Propose gave. What there is to tell of it, by the names of the
  // job's metrics. FAILED_PRECONDITION where the step cannot be taken; the weights are then those
  // before it.
  virtual absl::StatusOr<Metrics> Update(const at::Tensor& proposed, const Scores& scores) = 0;
  // The trained tensors as they are to be served, by name.
  virtual const std::map<std::string, at::Tensor>& Served() const = 0;
  // x_ref, [1, D].
  virtual const at::Tensor& reference() const = 0;

  // All that the rest of the run depends on but the network's weights and steps(), by name, sharing
  // memory; to restore it, copy into the tensors and set the steps.
  virtual std::map<std::string, at::Tensor> State() const = 0;
  virtual void set_steps(uint64_t steps) = 0;
  // Smaller steps from now on: half the learning rate, or step size. Part of the state.
  virtual void Calm() = 0;
};

}  // namespace ddpt
