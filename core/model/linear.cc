#include "core/model/linear.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <vector>

#include "absl/functional/function_ref.h"
#include "core/base/pause.h"
#include "core/base/team.h"
#include "core/model/decoder_step.h"
#include "core/model/in_parts.h"
#include "core/model/pause_behind.h"

namespace ddpt {
namespace {

// Multiply-adds of a slice: 10 ms on one core or less.
constexpr int64_t kSliceMultiplyAdds = 300'000'000;
// Rows that a thread multiplies at once, with widened weights more for each widening.
constexpr int64_t kPieceRows = 96, kWidePieceRows = 384;
// Pieces of a product that is large enough, so that a full team has some each; multiply-adds of one
// that is worth what LibTorch takes to cut it off.
constexpr int64_t kPieces = Team::kMaxHelpers + 1;
constexpr int64_t kPieceMultiplyAdds = 2'000'000;
constexpr int64_t kMostWidened = 1 << 20;  // weights at a time

// Calls body(i) for each i below `count`, here and on whatever other threads there are.
void ForPieces(int64_t count, absl::FunctionRef<void(int64_t)> body) {
  if (MayShareOut()) return ShareOut(static_cast<size_t>(count), body);
  at::parallel_for(0, count, /*grain_size=*/1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) body(i);
  });
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

const ModelKernels* Linear::KernelsFor(const at::Tensor& x) const {
  if (!x.is_cpu() || x.numel() == 0) return nullptr;
  if (type() == MatrixType::kBfloat16 && Avx512Bf16ModelKernels() != nullptr) return nullptr;
  const bool differentiate =
      at::GradMode::is_enabled() &&
      (x.requires_grad() || weight_.requires_grad() || (bias_.defined() && bias_.requires_grad()));
  return differentiate ? nullptr : BestModelKernels();
}

MatrixView Linear::Widened(AlignedFloats& to) const {
  const auto size = static_cast<size_t>(weight_.numel());
  if (to.size() < size) to = AlignedFloats(size);
  at::Tensor wide = at::from_blob(to.data(), weight_.sizes(), at::kFloat);
  wide.copy_(weight_);
  if (scale_.defined()) wide.mul_(scale_floats_.unsqueeze(1));
  MatrixView matrix = view();
  matrix.type = MatrixType::kFloat32;
  matrix.weights = to.data();
  return matrix;
}

at::Tensor Linear::MultiplyBy(const ModelKernels& kernels, const at::Tensor& x) const {
  const bool widens =
      type() != MatrixType::kFloat32 && static_cast<size_t>(x.size(0)) >= kernels.widen_from;
  const int64_t most_rows = widens ? kWidePieceRows : kPieceRows;
  const int64_t bands = (x.size(0) + most_rows - 1) / most_rows;
  const int64_t pieces =
      std::clamp<int64_t>(x.numel() * outputs() / kPieceMultiplyAdds, 1, kPieces);
  // Of the outputs, in each band of rows.
  const int64_t parts = std::max((pieces + bands - 1) / bands,
                                 widens ? (weight_.numel() + kMostWidened - 1) / kMostWidened : 1);
  const at::Tensor y = at::empty({x.size(0), outputs()}, x.options());
  ForPieces(bands * parts, [&](int64_t piece) {
    const c10::NoGradGuard no_grad;  // each thread has its own
    const int64_t first_row = piece / parts * most_rows, part = piece % parts;
    const int64_t rows = std::min(most_rows, x.size(0) - first_row);
    const int64_t first = outputs() * part / parts;
    const int64_t count = outputs() * (part + 1) / parts - first;
    thread_local AlignedFloats wide;
    thread_local PreparedBuffer prepared;
    const Linear map = Slice(first, count);
    const MatrixView matrix = widens ? map.Widened(wide) : map.view();
    const at::Tensor in = x.narrow(0, first_row, rows).to(at::kFloat).contiguous();
    prepared.Fit(static_cast<size_t>(rows), matrix.inputs);
    for (int64_t row = 0; row < rows; ++row) {
      const auto i = static_cast<size_t>(row);
      kernels.prepare(matrix.type, in.const_data_ptr<float>() + i * matrix.inputs, matrix.inputs,
                      prepared.row(i), prepared.scale(i));
    }
    const at::Tensor to = y.narrow(0, first_row, rows).narrow(1, first, count);
    const bool converts = to.scalar_type() != at::kFloat;
    const at::Tensor out = converts ? at::empty(to.sizes(), at::kFloat) : to;
    kernels.multiply(matrix, {0, matrix.outputs}, prepared.view(static_cast<size_t>(rows)),
                     out.mutable_data_ptr<float>(), static_cast<size_t>(out.stride(0)),
                     /*add=*/false);
    if (converts) to.copy_(out);
  });
  return y;
}

at::Tensor Linear::MultiplyByTorch(const at::Tensor& x) const {
  if (!scale_.defined()) return at::linear(x, weight_, bias_);
  const at::Tensor y = at::linear(x, weight_.to(x.scalar_type())) * scale_;
  return bias_.defined() ? y + bias_ : y;
}

at::Tensor Linear::operator()(const at::Tensor& x) const {
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = outputs();
  const ModelKernels* const kernels = KernelsFor(x);
  if (kernels == nullptr) {
    return InParts(
        shape, x.options(), outputs(), x.numel() * outputs(), [&](int64_t first, int64_t count) {
          return count == outputs() ? MultiplyByTorch(x) : Slice(first, count).MultiplyByTorch(x);
        });
  }
  return MultiplyBy(*kernels, x.reshape({-1, x.size(-1)})).view(shape);
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
