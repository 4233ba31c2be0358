#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>

#include "core/base/aligned_floats.h"
#include "core/model/kernels.h"
#include "core/model/state_dict.h"

namespace ddpt {

// y = x W^T + b, with W in the dtype of x or in int8 with one bfloat16 scale an output (then x and
// y are bfloat16). On a processor, where nothing is to be differentiated, all goes through
// ModelKernels but bfloat16 where LibTorch has the processor's own product for it: a row is the
// same bits beside any others and whatever the number of threads. From the rows on that
// the kernels tell, weights of fewer bits than float32 are widened, up to 4 MB of them at a time in
// each thread, which rounds otherwise. Under a TeamScope (core/base/team.h) the helpers do their
// part, which changes no bit. Differentiable with respect to x, and to W and b where they are
// floating and require it. Shares the memory of the weights. Thread-safe.
class Linear {
 public:
  Linear() = default;  // undefined: not to be called
  // PREFIX.weight [out, in], PREFIX.weight_scale [out] where that is int8, PREFIX.bias [out] where
  // there is such. Throws std::out_of_range where there is no weight.
  Linear(const StateDict& weights, const std::string& prefix);
  explicit Linear(at::Tensor weight) : weight_(std::move(weight)) {}

  bool defined() const { return weight_.defined(); }
  int64_t outputs() const { return weight_.size(0); }
  const at::Tensor& weight() const { return weight_; }
  const at::Tensor& bias() const { return bias_; }  // undefined where there is none
  // On the processor, for ModelKernels; lives as long as this. float32, bfloat16 or int8.
  MatrixType type() const;
  MatrixView view() const;
  // x [..., in] -> [..., out].
  at::Tensor operator()(const at::Tensor& x) const;
  // The same for very many outputs: where pauses are on (core/base/pause.h), computed a slice of
  // the outputs at a time, a few milliseconds of one core each, with pause points between them,
  // forward and backward. What comes out is a function of the shapes, pauses on or off, and of the
  // numbers.
  at::Tensor InSlices(const at::Tensor& x) const;

 private:
  // Those that multiply x; null where LibTorch does.
  const ModelKernels* KernelsFor(const at::Tensor& x) const;
  // The weights as float32, those of int8 times their scales; `to` grows to hold them.
  MatrixView Widened(AlignedFloats& to) const;
  // x [rows, in] -> [rows, out].
  at::Tensor MultiplyBy(const ModelKernels& kernels, const at::Tensor& x) const;
  at::Tensor MultiplyByTorch(const at::Tensor& x) const;
  // Of the outputs first..first+count-1.
  Linear Slice(int64_t first, int64_t count) const;

  at::Tensor weight_, scale_, bias_;       // scale_, bias_ undefined where there is none
  at::Tensor scale_floats_, bias_floats_;  // of a map on the processor, in float32
};

}  // namespace ddpt
