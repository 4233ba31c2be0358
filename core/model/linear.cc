#include "core/model/linear.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace ddpt {
namespace {

// Up to this many rows the eight bits are widened on their way through the registers. More rows are
// worth a widened copy, because that product runs at the speed of a large one.
constexpr int64_t kPackedRows = 64;
// What that product reads at a time, without looking for the end of a row.
constexpr int64_t kPackedStep = 16;

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

}  // namespace ddpt
