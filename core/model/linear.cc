#include "core/model/linear.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <vector>

#include "core/base/pause.h"
#include "core/model/pause_behind.h"

namespace ddpt {
namespace {

// Up to this many rows the eight bits are widened on their way through the registers. More rows are
// worth a widened copy, because that product runs at the speed of a large one.
constexpr int64_t kPackedRows = 64;
// What that product reads at a time, without looking for the end of a row.
constexpr int64_t kPackedStep = 16;

// Multiply-adds of a slice: 10 ms on one core or less.
constexpr int64_t kSliceMultiplyAdds = 300'000'000;

// x [rows, in] bfloat16, weight [out, in] int8, scale [out] bfloat16 -> [rows, out] bfloat16.
at::Tensor Int8Product(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& scale) {
  const bool differentiate = at::GradMode::is_enabled() && x.requires_grad();
  const bool fits = x.size(0) <= kPackedRows && x.size(1) % kPackedStep == 0;
  if (!differentiate && x.is_cpu() && fits) {
    return at::_weight_int8pack_mm(x.contiguous(), weight, scale);
  }
  return at::linear(x, weight.to(x.scalar_type())) * scale;
}

at::Tensor Find(const StateDict& weights, const std::string& name) {
  const auto found = weights.find(name);
  return found == weights.end() ? at::Tensor() : found->second;
}

}  // namespace

Linear::Linear(const StateDict& weights, const std::string& prefix)
    : weight_(weights.at(prefix + ".weight")),
      scale_(Find(weights, prefix + kScaleOf)),
      bias_(Find(weights, prefix + ".bias")) {}

at::Tensor Linear::operator()(const at::Tensor& x) const {
  if (!scale_.defined()) return at::linear(x, weight_, bias_);
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = weight_.size(0);
  const at::Tensor y = Int8Product(x.reshape({-1, x.size(-1)}), weight_, scale_).view(shape);
  return bias_.defined() ? y + bias_ : y;
}

Linear Linear::Slice(int64_t first, int64_t count) const {
  const auto part = [&](const at::Tensor& all) {
    return all.defined() ? all.narrow(0, first, count) : all;
  };
  Linear slice(part(weight_));
  slice.scale_ = part(scale_);
  slice.bias_ = part(bias_);
  return slice;
}

at::Tensor Linear::InSlices(const at::Tensor& x) const {
  const int64_t outputs = weight_.size(0);
  const int64_t together =
      std::max<int64_t>(kSliceMultiplyAdds / std::max<int64_t>(x.numel(), 1), 1);
  if (!MayPause() || together >= outputs) return (*this)(x);
  std::vector<at::Tensor> slices;
  for (int64_t first = 0; first < outputs; first += together) {
    slices.push_back(Slice(first, std::min(together, outputs - first))(x));
    PauseBehind(slices.back());
  }
  return at::cat(slices, -1);
}

}  // namespace ddpt
