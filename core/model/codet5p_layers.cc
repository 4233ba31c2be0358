#include "core/model/codet5p_layers.h"

#include <ATen/ATen.h>

#include <cmath>

#include "absl/strings/str_cat.h"

namespace ddpt::codet5p {
namespace {

// x [B, T, groups * parts * width/groups] -> `parts` tensors [B, H, T, hd].
std::vector<at::Tensor> SplitGroups(const at::Tensor& x, int64_t parts, int64_t heads) {
  const int64_t rows = x.size(0), tokens = x.size(1);
  const at::Tensor grouped = x.view({rows, tokens, kGroups, parts, heads / kGroups, -1});
  std::vector<at::Tensor> split;
  for (int64_t part = 0; part < parts; ++part) {
    // [B, T, groups, H/groups, hd]
    const at::Tensor piece = grouped.select(3, part);
    split.push_back(piece.reshape({rows, tokens, heads, -1}).transpose(1, 2));
  }
  return split;
}

}  // namespace

std::string CrossPrefix(const Codet5pConfig& config) {
  return absl::StrCat(kDecoderStack, "h.", config.decoder.layers - 1, ".crossattention.");
}

Rotary Rotary::Table(int64_t positions, int64_t rotary_dim, const at::Tensor& like) {
  const at::TensorOptions options = like.options().dtype(at::kFloat);
  const at::Tensor exponent = at::arange(0, rotary_dim, 2, options) / rotary_dim;
  const at::Tensor frequency = at::reciprocal(at::pow(at::Scalar(10000.0), exponent));
  const at::Tensor angle = at::arange(positions, options).unsqueeze(1) * frequency;
  return {at::cos(angle), at::sin(angle)};
}

Rotary Rotary::First(int64_t length) const {
  return {cosine.narrow(0, 0, length).unsqueeze(0).unsqueeze(0),
          sine.narrow(0, 0, length).unsqueeze(0).unsqueeze(0)};
}

Rotary Rotary::At(const at::Tensor& positions) const {
  const std::vector<int64_t> shape = {positions.size(0), 1, positions.size(1), -1};
  const at::Tensor flat = positions.reshape({-1});
  return {cosine.index_select(0, flat).view(shape), sine.index_select(0, flat).view(shape)};
}

at::Tensor Rotate(const at::Tensor& x, const Rotary& table) {
  const int64_t rotary_dim = 2 * table.cosine.size(-1);
  const at::Tensor pairs = x.narrow(-1, 0, rotary_dim).to(at::kFloat).unflatten(-1, {-1, 2});
  const at::Tensor even = pairs.select(-1, 0), odd = pairs.select(-1, 1);
  const at::Tensor rotated =
      at::stack({even * table.cosine - odd * table.sine, odd * table.cosine + even * table.sine},
                -1)
          .flatten(-2)
          .to(x.scalar_type());
  if (rotary_dim == x.size(-1)) return rotated;
  return at::cat({rotated, x.narrow(-1, rotary_dim, x.size(-1) - rotary_dim)}, -1);
}

at::Tensor Attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                  const at::Tensor& bias) {
  return ddpt::Attend(q, k, v, bias, std::sqrt(static_cast<double>(q.size(-1))));
}

at::Tensor Norm::operator()(const at::Tensor& x) const {
  return at::layer_norm(x, weight.sizes(), weight, bias, epsilon);
}

Block::Block(const StateDict& weights, const std::string& prefix, const Codet5pConfig::Stack& stack)
    : heads_(stack.heads),
      norm_{weights.at(prefix + "ln_1.weight"), weights.at(prefix + "ln_1.bias"), stack.epsilon},
      qkv_(weights, prefix + "attn.qkv_proj"),
      out_(weights, prefix + "attn.out_proj"),
      inner_(weights, prefix + "mlp.fc_in"),
      outer_(weights, prefix + "mlp.fc_out") {}

Heads Block::Split(const at::Tensor& normed, const Rotary& rotary) const {
  // Inside each group: query, value, key.
  const std::vector<at::Tensor> parts = SplitGroups(qkv_(normed), 3, heads_);
  return {Rotate(parts[0], rotary), Rotate(parts[2], rotary), parts[1]};
}

at::Tensor Block::Join(const at::Tensor& x, const at::Tensor& normed,
                       const at::Tensor& attended) const {
  return out_(attended) + outer_(at::gelu(inner_(normed), "tanh")) + x;
}

CrossAttention::CrossAttention(const StateDict& weights, const std::string& prefix, int64_t heads)
    : heads_(heads),
      query_(weights, prefix + "q_attn"),
      qkv_(weights, prefix + "qkv_proj"),
      out_(weights, prefix + "out_proj") {}

at::Tensor CrossAttention::Query(const at::Tensor& normed) const { return query_(normed); }

at::Tensor CrossAttention::QueryHeads(const at::Tensor& query, const Rotary& rotary) const {
  return Rotate(SplitGroups(query, 1, heads_)[0], rotary);
}

Heads CrossAttention::Split(const at::Tensor& states, const Rotary& rotary) const {
  // Inside each group: value, key. (Self-attention has the query before them.)
  const std::vector<at::Tensor> parts = SplitGroups(qkv_(states), 2, heads_);
  return {at::Tensor(), Rotate(parts[1], rotary), parts[0]};
}

at::Tensor CrossAttention::Project(const at::Tensor& attended) const { return out_(attended); }

}  // namespace ddpt::codet5p
