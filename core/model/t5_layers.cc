#include "core/model/t5_layers.h"

#include <ATen/ATen.h>

#include <cmath>

#include "absl/strings/str_cat.h"

namespace ddpt::t5 {
namespace {

// The bucket of each distance (that of the token looked at, less that of the one that looks),
// int64; in float32 steps, like the public code, whose rounding decides between buckets.
at::Tensor Buckets(const at::Tensor& distance, const T5Config& config, bool bidirectional) {
  const int64_t buckets = bidirectional ? config.buckets / 2 : config.buckets;
  const int64_t exact = buckets / 2;
  const at::Tensor back = bidirectional ? distance.abs() : at::clamp_min(-distance, 0);
  const double scale = std::log(static_cast<double>(config.max_distance) / exact);
  const at::Tensor logarithm =
      at::log(at::clamp_min(back, 1).to(at::kFloat) / exact) / scale * (buckets - exact);
  const at::Tensor far = at::clamp_max(exact + logarithm.to(at::kLong), buckets - 1);
  const at::Tensor bucket = at::where(back < exact, back, far);
  return bidirectional ? bucket + (distance > 0).to(at::kLong) * buckets : bucket;
}

}  // namespace

at::Tensor Norm::operator()(const at::Tensor& x) const {
  const at::Tensor wide = x.to(at::kFloat);
  const at::Tensor square = wide.square().mean(-1, /*keepdim=*/true);
  return weight * (wide * at::rsqrt(square + epsilon)).to(weight.scalar_type());
}

RelativeBias::RelativeBias(const at::Tensor& weight, const T5Config& config, bool bidirectional)
    : middle_(config.max_positions - 1) {
  const at::Tensor distance = at::arange(-middle_, middle_ + 1, weight.options().dtype(at::kLong));
  table_ = weight.to(at::kFloat).index_select(0, Buckets(distance, config, bidirectional));
}

at::Tensor RelativeBias::Square(int64_t tokens) const {
  const at::Tensor places = at::arange(tokens, table_.options().dtype(at::kLong));
  const at::Tensor row = places.unsqueeze(0) - places.unsqueeze(1) + middle_;
  return table_.index_select(0, row.flatten())
      .view({tokens, tokens, -1})
      .permute({2, 0, 1})
      .unsqueeze(0);
}

at::Tensor RelativeBias::Rows(const at::Tensor& places, const at::Tensor& prefixes,
                              int64_t past) const {
  const at::Tensor there = at::arange(past, places.options()).unsqueeze(0);
  const at::Tensor row = there - places.unsqueeze(1) + middle_;
  // What is out of range is a place of the prefix, or after a shorter row's own token and hidden.
  const at::Tensor inside = at::clamp(row, 0, 2 * middle_);
  const at::Tensor bias = table_.index_select(0, inside.flatten()).view({places.size(0), past, -1});
  return bias.masked_fill((there < prefixes.unsqueeze(1)).unsqueeze(2), 0)
      .permute({0, 2, 1})
      .unsqueeze(2);
}

Attention::Attention(const StateDict& weights, const std::string& prefix, int64_t heads)
    : heads_(heads),
      query_(weights, prefix + "q"),
      key_(weights, prefix + "k"),
      value_(weights, prefix + "v"),
      out_(weights, prefix + "o") {}

at::Tensor Attention::Split(const at::Tensor& x, const Linear& map) const {
  return map(x).unflatten(-1, {heads_, -1}).transpose(1, 2);
}

Heads Attention::KeysValues(const at::Tensor& x) const {
  return {at::Tensor(), Split(x, key_).contiguous(), Split(x, value_).contiguous()};
}

at::Tensor Attention::Look(const at::Tensor& query, const Heads& there,
                           const at::Tensor& bias) const {
  return out_(Attend(query, there.key, there.value, bias, /*scale=*/1));
}

FeedForward::FeedForward(const StateDict& weights, const std::string& prefix, bool gated)
    : in_(weights, prefix + (gated ? "wi_0" : "wi")),
      gate_(gated ? Linear(weights, prefix + "wi_1") : Linear()),
      out_(weights, prefix + "wo") {}

at::Tensor FeedForward::operator()(const at::Tensor& normed) const {
  const at::Tensor inner = in_(normed);
  if (!gate_.defined()) return out_(at::relu(inner));
  return out_(at::gelu(inner, "tanh") * gate_(normed));
}

Block::Block(const StateDict& weights, const std::string& prefix, const T5Config& config,
             bool decoder)
    : self_norm{weights.at(prefix + "0.layer_norm.weight"), config.epsilon},
      self(weights, prefix + "0.SelfAttention.", config.heads),
      cross_norm{weights.at(prefix + "1.layer_norm.weight"), config.epsilon},
      cross(weights, prefix + (decoder ? "1.EncDecAttention." : "0.SelfAttention."), config.heads),
      forward_norm{weights.at(prefix + (decoder ? "2." : "1.") + "layer_norm.weight"),
                   config.epsilon},
      forward(weights, prefix + (decoder ? "2." : "1.") + "DenseReluDense.", config.gated) {}

}  // namespace ddpt::t5
