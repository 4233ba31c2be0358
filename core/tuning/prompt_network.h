#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "core/base/tensor.h"
#include "core/diffusion/denoiser.h"
#include "core/tuning/prompt_encoder.h"

namespace ddpt {

// The denoiser g(x, t, c) of core/diffusion as a differentiable LibTorch graph, with the tensors of
// a denoiser file under the same names. Which of them are trained depends on the method:
//   kDdpt          all
//   kGenerator     all but W and tau: x = 0, t fixed
//   kPromptTuning  u alone: one prompt, context + u; or, with a prompt encoder, the encoder's
//                  tensors, whose output is u
//   kPrefixTuning  u alone
// A new network has U = 0 and u = 0, so its prompt is the context itself. Not thread-safe.
class PromptNetwork {
 public:
  // `spec` must be valid; `context` is [n, w]; `encoder` goes with kPromptTuning only. The initial
  // weights are a function of `seed` alone.
  PromptNetwork(const DenoiserSpec& spec, const Tensor& context, uint64_t seed,
                const std::string& device, std::optional<PromptEncoder> encoder = std::nullopt);

  // Before the first step, only where condition_width > 0: the rows of `conditions` [N, C] shall
  // reach the network with mean zero and unit variance (means over an instruction's states differ
  // little, next to what they have in common), and no condition as their mean. A change of K, b and
  // k0 alone.
  void CentreConditions(const at::Tensor& conditions);

  // x [B, D], t [B] int64 in 0..T-1, condition [B, C] and kept [B] bool (false: dropped), the last
  // two only where condition_width > 0. The direction g [B, D]. Differentiable.
  at::Tensor Forward(const at::Tensor& x, const at::Tensor& t, const at::Tensor& condition,
                     const at::Tensor& kept) const;

  const DenoiserSpec& spec() const { return spec_; }
  // E, [1, D].
  const at::Tensor& context() const { return context_; }
  // Trained tensors, in the order of their names; leaves that require gradients.
  const std::map<std::string, at::Tensor>& trained() const { return trained_; }
  // A copy of all weights, with `trained` (of the same names and shapes) in the place of the
  // trained ones; `reference` is x_ref, D numbers.
  DenoiserWeights Export(const std::map<std::string, at::Tensor>& trained,
                         const at::Tensor& reference) const;

 private:
  using Tensors = std::map<std::string, at::Tensor>;
  const at::Tensor& Weight(const std::string& name) const;
  at::Tensor UpBias(const Tensors& trained) const;
  void Initialise(const std::string& name, uint32_t stage, double scale, uint64_t seed);

  DenoiserSpec spec_;
  std::optional<PromptEncoder> encoder_;
  Tensors fixed_;
  Tensors trained_;
  at::Tensor context_;
  at::Tensor time_features_;  // [T, F]
};

}  // namespace ddpt
