#include "core/model/linear.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <vector>

#include "core/base/pause.h"
#include "core/model/decoder_step.h"
#include "core/model/in_parts.h"
#include "core/model/pause_behind.h"

namespace ddpt {
namespace {

// Multiply-adds of a slice: 10 ms on one core or less.
constexpr int64_t kSliceMultiplyAdds = 300'000'000;
// Rows from which widening the weights, for LibTorch to multiply them in float32, pays.
constexpr int64_t kManyRows = 64;

// x [rows, in] -> [rows, out] in the same dtype.
at::Tensor MultiplyBy(const ModelKernels& kernels, const MatrixView& matrix, const at::Tensor& x) {
  const at::Tensor in = x.to(at::kFloat).contiguous();
  const int64_t rows = in.size(0), inputs = in.size(1);
  const auto outputs = static_cast<int64_t>(matrix.outputs);
  PreparedBuffer prepared;
  prepared.Fit(static_cast<size_t>(rows), matrix.inputs);
  at::parallel_for(0, rows, /*grain_size=*/16, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const auto i = static_cast<size_t>(row);
      kernels.prepare(matrix.type, in.const_data_ptr<float>() + row * inputs, matrix.inputs,
                      prepared.row(i), prepared.scale(i));
    }
  });
  at::Tensor out = at::empty({rows, outputs}, in.options());
  auto* const to = out.mutable_data_ptr<float>();
  // Many outputs pass by the same rows, so threads share the outputs; not less than some lines.
  at::parallel_for(0, outputs, /*grain_size=*/64, [&](int64_t begin, int64_t end) {
    kernels.multiply(matrix, {static_cast<size_t>(begin), static_cast<size_t>(end)},
                     prepared.view(static_cast<size_t>(rows)), to, matrix.outputs, /*add=*/false);
  });
  return out.to(x.scalar_type());
}

at::Tensor Find(const StateDict& weights, const std::string& name) {
  const auto found = weights.find(name);
  return found == weights.end() ? at::Tensor() : found->second;
}

at::Tensor Floats(const at::Tensor& x) {
  return x.defined() && x.is_cpu() ? FloatsOf(x) : at::Tensor();
}

}  // namespace

Linear::Linear(const StateDict& weights, const std::string& prefix)
    : weight_(weights.at(prefix + ".weight")),
      scale_(Find(weights, prefix + kScaleOf)),
      bias_(Find(weights, prefix + ".bias")),
      scale_floats_(Floats(scale_)),
      bias_floats_(Floats(bias_)) {}

MatrixType Linear::type() const {
  if (scale_.defined()) return MatrixType::kInt8;
  return weight_.scalar_type() == at::kFloat ? MatrixType::kFloat32 : MatrixType::kBfloat16;
}

MatrixView Linear::view() const {
  const auto data = [](const at::Tensor& x) {
    return x.defined() ? x.const_data_ptr<float>() : nullptr;
  };
  return {type(),
          weight_.const_data_ptr(),
          data(scale_floats_),
          data(bias_floats_),
          static_cast<size_t>(weight_.size(1)),
          static_cast<size_t>(weight_.size(0))};
}

bool Linear::WidensFor(const at::Tensor& x) const {
  if (!x.is_cpu() || x.numel() == 0 || type() == MatrixType::kFloat32) return false;
  if (type() == MatrixType::kBfloat16 && Avx512Bf16ModelKernels() != nullptr) return false;
  return !at::GradMode::is_enabled() || !(x.requires_grad() || weight_.requires_grad() ||
                                          (bias_.defined() && bias_.requires_grad()));
}

at::Tensor Linear::MultiplyWidened(const at::Tensor& x) const {
  at::Tensor y = at::linear(x.to(at::kFloat), weight_.to(at::kFloat));
  if (scale_.defined()) y.mul_(scale_floats_);
  if (bias_.defined()) y.add_(bias_floats_);
  return y.to(x.scalar_type());
}

at::Tensor Linear::operator()(const at::Tensor& x) const {
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = outputs();
  return InParts(shape, x.options(), outputs(), x.numel() * outputs(),
                 [&](int64_t first, int64_t count) {
                   return count == outputs() ? Multiply(x) : Slice(first, count).Multiply(x);
                 });
}

at::Tensor Linear::Multiply(const at::Tensor& x) const {
  if (WidensFor(x)) {
    const at::Tensor rows = x.reshape({-1, x.size(-1)});
    const ModelKernels* const kernels = rows.size(0) < kManyRows ? BestModelKernels() : nullptr;
    std::vector<int64_t> shape = x.sizes().vec();
    shape.back() = weight_.size(0);
    return (kernels != nullptr ? MultiplyBy(*kernels, view(), rows) : MultiplyWidened(rows))
        .view(shape);
  }
  if (!scale_.defined()) return at::linear(x, weight_, bias_);
  const at::Tensor y = at::linear(x, weight_.to(x.scalar_type())) * scale_;
  return bias_.defined() ? y + bias_ : y;
}

Linear Linear::Slice(int64_t first, int64_t count) const {
  const auto part = [&](const at::Tensor& all) {
    return all.defined() ? all.narrow(0, first, count) : all;
  };
  Linear slice(part(weight_));
  slice.scale_ = part(scale_);
  slice.bias_ = part(bias_);
  slice.scale_floats_ = part(scale_floats_);
  slice.bias_floats_ = part(bias_floats_);
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
