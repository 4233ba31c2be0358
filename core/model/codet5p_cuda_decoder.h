#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "core/model/codet5p_config.h"
#include "core/model/kv_state.h"
#include "core/model/state_dict.h"

namespace ddpt::codet5p {

struct Rotary;

// The decoder of a CodeT5+ parallel-block model on a GPU, a token a step (inside of
// codet5p_model.cc). Of a token of few rows reading the weights takes most of the time, so it is
// made of three kernels a layer, which the processor hands over sooner than the GPU is done with
// them: the norm; queries, keys and values, and the first half of the feed-forward part; attention,
// and what both add to the residual stream. Const and thread-safe.
class CudaDecoder {
 public:
  // Shares the weights' memory. Null in a build without CUDA, and where the weights are a
  // processor's, an older GPU's, in int8, or of widths that the kernels do not take.
  static std::unique_ptr<const CudaDecoder> Create(const StateDict& weights,
                                                   const Codet5pConfig& config,
                                                   const Rotary& rotary);
  virtual ~CudaDecoder() = default;

  // Whether it makes the next token of these rows: nothing is to be differentiated.
  virtual bool Takes(const KvState& state) const = 0;
  // LanguageModel::Step. Does not wait for the GPU.
  virtual at::Tensor Step(KvState& state, const at::Tensor& ids) const = 0;
};

}  // namespace ddpt::codet5p
