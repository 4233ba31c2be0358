#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "core/base/team.h"
#include "core/model/decoder_step.h"
#include "core/model/kernels.h"
#include "core/model/kv_rows.h"
#include "core/model/linear.h"
#include "core/model/state_dict.h"
#include "core/model/t5_config.h"

namespace ddpt::t5 {

// The decoder of a T5 model on a processor, a token a step, by ModelKernels (inside of
// t5_model.cc). Shares the memory of the weights but for small copies in float32, so it is for
// weights that stay as they are. Const and thread-safe.
class Decoder {
 public:
  Decoder(const StateDict& weights, const T5Config& config, const ModelKernels& kernels);

  // LanguageModel::Step. The logits are the state's, until its next step.
  at::Tensor Step(KvRows& state, const at::Tensor& ids, Team& team) const;

 private:
  struct Layer {
    Layer(const StateDict& weights, const std::string& prefix, bool gated);

    at::Tensor self_norm, cross_norm, forward_norm;  // float32
    Linear query, key, value, out;
    Linear cross_query, cross_out;
    Linear in, gate, outer;  // gate undefined where there is none
  };

  void Run(StepMember& member, KvRows& state, const int64_t* ids) const;
  void Prepare(StepMember& member, KvRows& state, const at::Tensor& norm, MatrixType type,
               float scale = 1) const;
  void PrepareAttended(StepMember& member, KvRows& state, MatrixType type) const;
  void LookAtOwn(StepMember& member, KvRows& state, size_t layer) const;
  void LookAtEncoder(StepMember& member, KvRows& state, size_t layer) const;
  void Forward(StepMember& member, KvRows& state, const Layer& layer) const;
  const float* Bias(StepMember& member, const KvRows::Row& row, size_t head) const;

  const ModelKernels& kernels_;
  const size_t width_, heads_, head_width_, inner_;
  const float epsilon_;
  const at::Tensor embedding_;
  const Linear head_;
  const float head_scale_;
  const int64_t middle_;  // distance 0 in the bias
  at::Tensor bias_;       // [H, distances] float32
  std::vector<Layer> layers_;
  const at::Tensor norm_;
};

}  // namespace ddpt::t5
