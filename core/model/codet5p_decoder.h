#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "core/base/team.h"
#include "core/model/codet5p_config.h"
#include "core/model/decoder_step.h"
#include "core/model/kernels.h"
#include "core/model/kv_rows.h"
#include "core/model/linear.h"
#include "core/model/state_dict.h"

namespace ddpt::codet5p {

struct Rotary;

// The decoder of a CodeT5+ parallel-block model on a processor, a token a step, by ModelKernels
// (inside of codet5p_model.cc). Shares the memory of the weights but for small copies in float32,
// so it is for weights that stay as they are. Const and thread-safe.
class Decoder {
 public:
  Decoder(const StateDict& weights, const Codet5pConfig& config, const Rotary& rotary,
          const ModelKernels& kernels);

  // LanguageModel::Step. The logits are the state's, until its next step.
  at::Tensor Step(KvRows& state, const at::Tensor& ids, Team& team) const;

 private:
  struct Norm {
    Norm(const StateDict& weights, const std::string& prefix);
    at::Tensor weight, bias;  // float32
  };
  struct Layer {
    Layer(const StateDict& weights, const std::string& prefix);
    Norm norm;
    Linear qkv, out, inner, outer;
  };

  void Run(StepMember& member, KvRows& state, const int64_t* ids) const;
  void Prepare(StepMember& member, KvRows& state, const Norm& norm, MatrixType type) const;
  void PrepareAttended(StepMember& member, KvRows& state, MatrixType type) const;
  void LookAtOwn(StepMember& member, KvRows& state, size_t layer) const;
  void LookAtEncoder(StepMember& member, KvRows& state) const;
  size_t PartOf(size_t head, size_t part, size_t parts) const;
  void Rotate(const KvRows::Row& row, float* head) const;

  const ModelKernels& kernels_;
  const size_t width_, heads_, head_width_, inner_;
  const float epsilon_, scale_;
  const at::Tensor embedding_;
  std::vector<Layer> layers_;
  const Linear cross_query_, cross_out_;
  const Norm norm_;
  const Linear head_;
  const at::Tensor cosine_, sine_;  // [positions, rotary_dim / 2] float32
};

}  // namespace ddpt::codet5p
