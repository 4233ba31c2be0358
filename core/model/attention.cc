#include "core/model/attention.h"

#include <ATen/ATen.h>

#include <limits>

#include "core/model/in_parts.h"

namespace ddpt {

at::Tensor Attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                  const at::Tensor& bias, double scale) {
  const int64_t heads = q.size(1);
  return InParts({q.size(0), q.size(2), heads * q.size(3)}, v.options(), heads,
                 2 * q.numel() * k.size(2), [&](int64_t first, int64_t count) {
                   const auto part = [&](const at::Tensor& x) {
                     const bool whole = count == heads || x.size(1) == 1;
                     return whole ? x : x.narrow(1, first, count);
                   };
                   const at::Tensor keys = part(k).to(at::kFloat).transpose(-1, -2);
                   const at::Tensor scores =
                       at::matmul(part(q).to(at::kFloat), keys) / scale + part(bias);
                   const at::Tensor weights = at::softmax(scores, -1).to(v.scalar_type());
                   return at::matmul(weights, part(v)).transpose(1, 2).flatten(2);
                 });
}

at::Tensor BiasOf(const at::Tensor& visible) {
  const at::Tensor bias = at::zeros(visible.sizes(), visible.options().dtype(at::kFloat));
  return bias.masked_fill(visible.logical_not(), std::numeric_limits<float>::lowest());
}

at::Tensor MaskBias(const at::Tensor& mask) {
  return BiasOf(mask.to(at::kBool)).unsqueeze(1).unsqueeze(1);
}

at::Tensor CausalBias(const at::Tensor& ids) {
  const int64_t tokens = ids.size(1);
  return BiasOf(at::ones({tokens, tokens}, ids.options().dtype(at::kBool)).tril())
      .view({1, 1, tokens, tokens});
}

at::Tensor AtPositions(const at::Tensor& x, const at::Tensor& positions) {
  return at::gather(x, 1, positions.unsqueeze(-1).expand({-1, -1, x.size(-1)}));
}

}  // namespace ddpt
