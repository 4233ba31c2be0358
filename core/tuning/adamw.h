#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>

namespace ddpt {

// AdamW (Loshchilov & Hutter 2019) with betas 0.9 and 0.999, epsilon 1e-8 and a bound on the global
// gradient norm, over named leaves. Its state is plain tensors, so that a checkpoint can hold it.
// Not thread-safe.
class AdamW {
 public:
  struct Options {
    double weight_decay = 0;
    double clip_norm = 1;
  };

  // Shares the tensors of `parameters`.
  AdamW(std::map<std::string, at::Tensor> parameters, Options options);

  // One update by the parameters' gradients, which it clears. The gradient norm before clipping;
  // where that is not finite nothing is updated.
  double Step(double learning_rate);

  uint64_t steps() const { return steps_; }
  // First and second moments by parameter name; to restore them, copy into the tensors.
  const std::map<std::string, at::Tensor>& first() const { return first_; }
  const std::map<std::string, at::Tensor>& second() const { return second_; }
  void set_steps(uint64_t steps) { steps_ = steps; }

 private:
  std::map<std::string, at::Tensor> parameters_, first_, second_;
  Options options_;
  uint64_t steps_ = 0;
};

}  // namespace ddpt
