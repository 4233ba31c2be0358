#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>

namespace ddpt {

// P-tuning's prompt encoder (Liu et al. 2021, "GPT Understands, Too"; shapes as in PEFT): n trained
// vectors e [n, w] pass through a small network, whose output is what is added to the context:
//   kMlp   V3 relu(V2 relu(V1 e)), hidden width m
//   kLstm  V2 relu(V1 lstm(e)), a bidirectional LSTM of two layers, m a direction, V1 [2m, 2m]
// It is needed in training only: the one prompt that comes out is served as prompt tuning's is. The
// last layer starts at zero, so the first prompt is the context. Immutable and thread-safe.
class PromptEncoder {
 public:
  enum class Kind { kMlp, kLstm };
  using Tensors = std::map<std::string, at::Tensor>;

  // `length` is n, `hidden` is m.
  PromptEncoder(Kind kind, int64_t length, int64_t width, int64_t hidden)
      : kind_(kind), length_(length), width_(width), hidden_(hidden) {}

  // What is trained, "prompt_encoder.*": a function of `seed`.
  Tensors InitialWeights(uint64_t seed, const std::string& device) const;
  // [n, w], of tensors with the names and shapes of InitialWeights. Differentiable.
  at::Tensor Forward(const Tensors& weights) const;

 private:
  const Kind kind_;
  const int64_t length_, width_, hidden_;
};

}  // namespace ddpt
