#include "core/model/prefixes.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace ddpt {
namespace {

using Layers = ModelGeometry::Attention;

at::Tensor BiasOfLengths(const std::vector<int64_t>& lengths, int64_t longest,
                         const at::Tensor& like) {
  const auto options = at::TensorOptions(at::kLong).device(like.device());
  const at::Tensor ends = at::tensor(at::IntArrayRef(lengths), at::kLong).to(like.device());
  return BiasOf(at::arange(longest, options) < ends.view({-1, 1, 1, 1}));
}

// Of rows [n_b, size of `layers`], with n_b = 0 for rows without a prefix.
Prefixes::Part UnpackPart(const Layers& layers, const std::vector<at::Tensor>& rows) {
  Prefixes::Part part;
  for (const at::Tensor& row : rows) part.lengths.push_back(row.size(0));
  const int64_t longest = *std::max_element(part.lengths.begin(), part.lengths.end());
  if (longest == 0) return {};
  // [B, n, layers, 2, H, hd]
  const at::Tensor all = at::pad_sequence(rows, /*batch_first=*/true)
                             .unflatten(2, {layers.layers, 2, layers.heads, layers.head_width});
  for (int64_t layer = 0; layer < layers.layers; ++layer) {
    const at::Tensor both = all.select(2, layer).transpose(1, 3);  // [B, H, 2, n, hd]
    part.layers.push_back({at::Tensor(), both.select(2, 0), both.select(2, 1)});
  }
  part.bias = BiasOfLengths(part.lengths, longest, all);
  return part;
}

void PackPart(const Prefixes::Part& part, std::vector<at::Tensor>* columns) {
  for (const Heads& layer : part.layers) {
    for (const at::Tensor* heads : {&layer.key, &layer.value}) {
      columns->push_back((*heads)[0].transpose(0, 1).flatten(1).to(at::kFloat));  // [n, H*hd]
    }
  }
}

}  // namespace

Heads Prefixes::Part::Before(size_t layer, const Heads& own) const {
  if (empty()) return own;
  const auto join = [](const at::Tensor& before, const at::Tensor& behind) {
    std::vector<int64_t> shape = behind.sizes().vec();
    shape[2] = before.size(2);
    return at::cat({before.to(behind.scalar_type()).expand(shape), behind}, 2);
  };
  return {own.query, join(layers[layer].key, own.key), join(layers[layer].value, own.value)};
}

at::Tensor Prefixes::Part::Before(const at::Tensor& own) const {
  if (empty()) return own;
  const std::vector<int64_t> shape = {std::max(bias.size(0), own.size(0)), own.size(1), own.size(2),
                                      -1};
  return at::cat({bias.expand(shape), own.expand(shape)}, 3);
}

Prefixes UnpackPrefixes(const ModelGeometry& geometry, std::span<const at::Tensor> rows) {
  if (std::ranges::none_of(rows, [](const at::Tensor& row) { return row.defined(); })) return {};
  std::vector<at::Tensor> encoder, decoder, cross;
  const int64_t before = geometry.encoder_self.size(), self = geometry.decoder_self.size(),
                across = geometry.cross.size();
  const at::TensorOptions options = at::TensorOptions(at::kFloat).device(geometry.device);
  for (const at::Tensor& row : rows) {
    const int64_t width = row.defined() ? row.size(1) : 0;
    const bool all = width == PrefixWidth(geometry, PrefixPlace::kAll);
    encoder.push_back(all ? row.narrow(1, 0, before) : at::zeros({0, before}, options));
    cross.push_back(all ? row.narrow(1, before + self, across) : at::zeros({0, across}, options));
    decoder.push_back(width == 0 ? at::zeros({0, self}, options)
                                 : row.narrow(1, all ? before : 0, self));
  }
  return {UnpackPart(geometry.encoder_self, encoder), UnpackPart(geometry.decoder_self, decoder),
          UnpackPart(geometry.cross, cross)};
}

at::Tensor PackPrefix(const Prefixes& prefixes, PrefixPlace place) {
  std::vector<at::Tensor> columns;
  if (place == PrefixPlace::kAll) PackPart(prefixes.encoder, &columns);
  PackPart(prefixes.decoder, &columns);
  if (place == PrefixPlace::kAll) PackPart(prefixes.cross, &columns);
  return at::cat(columns, 1);
}

}  // namespace ddpt
