#include "core/model/codet5p_decoder.h"

#include <ATen/ATen.h>

#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/model/codet5p_layers.h"

namespace ddpt::codet5p {
Decoder::Norm::Norm(const StateDict& weights, const std::string& prefix)
    : weight(FloatsOf(weights.at(prefix + ".weight"))),
      bias(FloatsOf(weights.at(prefix + ".bias"))) {}

Decoder::Layer::Layer(const StateDict& weights, const std::string& prefix)
    : norm(weights, prefix + "ln_1"),
      qkv(weights, prefix + "attn.qkv_proj"),
      out(weights, prefix + "attn.out_proj"),
      inner(weights, prefix + "mlp.fc_in"),
      outer(weights, prefix + "mlp.fc_out") {}

Decoder::Decoder(const StateDict& weights, const Codet5pConfig& config, const Rotary& rotary,
                 const ModelKernels& kernels)
    : kernels_(kernels),
      width_(static_cast<size_t>(config.decoder.width)),
      heads_(static_cast<size_t>(config.decoder.heads)),
      head_width_(width_ / heads_),
      inner_(static_cast<size_t>(config.decoder.inner)),
      epsilon_(static_cast<float>(config.decoder.epsilon)),
      scale_(1 / std::sqrt(static_cast<float>(head_width_))),
      embedding_(weights.at(absl::StrCat(kDecoderStack, "wte.weight")).detach()),
      cross_query_(weights, CrossPrefix(config) + "q_attn"),
      cross_out_(weights, CrossPrefix(config) + "out_proj"),
      norm_(weights, absl::StrCat(kDecoderStack, "ln_f")),
      head_(weights, "decoder.lm_head"),
      cosine_(rotary.cosine.contiguous()),
      sine_(rotary.sine.contiguous()) {
  for (int64_t i = 0; i < config.decoder.layers; ++i) {
    layers_.emplace_back(weights, absl::StrCat(kDecoderStack, "h.", i, "."));
  }
}

at::Tensor Decoder::Step(KvRows& state, const at::Tensor& ids, Team& team) const {
  state.Grow();
  KvRows::Buffers& buffers = state.buffers();
  buffers.Fit({.model = width_,
               .attention = 3 * width_,
               .inner = inner_,
               .vocabulary = static_cast<size_t>(head_.outputs())},
              static_cast<size_t>(state.rows()), state.longest());
  const at::Tensor row_ids = ids.contiguous();
  const auto* const first = row_ids.const_data_ptr<int64_t>();
  team.Run([&](Team::Member& member) {
    StepMember step(kernels_, member, buffers);
    Run(step, state, first);
  });
  return buffers.logits;
}

void Decoder::Run(StepMember& member, KvRows& state, const int64_t* ids) const {
  KvRows::Buffers& buffers = state.buffers();
  const PreparedRows normed = buffers.prepared.view(buffers.rows);
  member.ForEach(buffers.rows,
                 [&](size_t row) { EmbedToken(embedding_, ids[row], &buffers.x[row * width_]); });
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    const bool last = i + 1 == layers_.size();
    Prepare(member, state, layer.norm, layer.qkv.type());
    member.Multiply(layer.qkv.view(), normed, buffers.query.data());
    member.Multiply(layer.inner.view(), normed, buffers.inner.data());
    member.ForOutputs(buffers.rows, inner_, [&](size_t first, size_t count) {
      kernels_.gelu(count, &buffers.inner[first]);
    });
    if (last) member.Multiply(cross_query_.view(), normed, buffers.key.data());
    member.Sync();
    LookAtOwn(member, state, i);
    member.ForEach(buffers.rows, [&](size_t row) {
      kernels_.prepare(layer.outer.type(), &buffers.inner[row * inner_], inner_,
                       buffers.prepared_inner.row(row), buffers.prepared_inner.scale(row));
    });
    PrepareAttended(member, state, layer.out.type());
    member.Multiply(layer.out.view(), normed, buffers.x.data(), /*add=*/true);
    member.Multiply(layer.outer.view(), buffers.prepared_inner.view(buffers.rows), buffers.x.data(),
                    /*add=*/true);
    member.Sync();
  }
  LookAtEncoder(member, state);
  PrepareAttended(member, state, cross_out_.type());
  member.Multiply(cross_out_.view(), normed, buffers.x.data(), /*add=*/true);
  member.Sync();
  Prepare(member, state, norm_, head_.type());
  member.Multiply(head_.view(), normed, buffers.logits.mutable_data_ptr<float>());
}

// The residual stream, normed, for a product with a matrix of `type`.
void Decoder::Prepare(StepMember& member, KvRows& state, const Norm& norm, MatrixType type) const {
  KvRows::Buffers& buffers = state.buffers();
  member.ForEach(buffers.rows, [&](size_t row) {
    float* const normed = member.own.row.data();
    kernels_.layer_norm(width_, &buffers.x[row * width_], norm.weight.const_data_ptr<float>(),
                        norm.bias.const_data_ptr<float>(), epsilon_, normed);
    kernels_.prepare(type, normed, width_, buffers.prepared.row(row), buffers.prepared.scale(row));
  });
  member.Sync();
}

void Decoder::PrepareAttended(StepMember& member, KvRows& state, MatrixType type) const {
  KvRows::Buffers& buffers = state.buffers();
  member.Sync();
  member.ForEach(buffers.rows, [&](size_t row) {
    kernels_.prepare(type, &buffers.attended[row * width_], width_, buffers.prepared.row(row),
                     buffers.prepared.scale(row));
  });
  member.Sync();
}

// Where a head stands in one of `parts` parts that a product gives (core/model/codet5p_layers.cc).
size_t Decoder::PartOf(size_t head, size_t part, size_t parts) const {
  const size_t heads = heads_ / kGroups;
  return ((head / heads * parts + part) * heads + head % heads) * head_width_;
}

void Decoder::LookAtOwn(StepMember& member, KvRows& state, size_t layer) const {
  KvRows::Buffers& buffers = state.buffers();
  const KvLayout& layout = state.past_layout();
  member.ForEach(buffers.rows * heads_, [&](size_t i) {
    KvRows::Row& row = state.row(i / heads_);
    const size_t head = i % heads_;
    // Inside each group: query, value, key.
    float* const parts = &buffers.query[i / heads_ * 3 * width_];
    float* const query = parts + PartOf(head, 0, 3);
    float* const key = parts + PartOf(head, 2, 3);
    Rotate(row, query);
    Rotate(row, key);
    row.past.Put(layout, row.past.length() - 1, layer, head, key, parts + PartOf(head, 1, 3));
    member.Attend(layout, row.past, layer, head, query, scale_, /*bias=*/nullptr,
                  &buffers.attended[i * head_width_]);
  });
}

void Decoder::LookAtEncoder(StepMember& member, KvRows& state) const {
  KvRows::Buffers& buffers = state.buffers();
  member.ForEach(buffers.rows * heads_, [&](size_t i) {
    const KvRows::Row& row = state.row(i / heads_);
    const size_t head = i % heads_;
    float* const query = &buffers.key[i / heads_ * width_ + PartOf(head, 0, 1)];
    Rotate(row, query);
    member.Attend(state.cross_layout(), *row.cross, 0, head, query, scale_, /*bias=*/nullptr,
                  &buffers.attended[i * head_width_]);
  });
}

// Channel pairs (2i, 2i + 1) by the position of the row's last token.
void Decoder::Rotate(const KvRows::Row& row, float* head) const {
  const auto position = static_cast<int64_t>(row.past.length() - 1 - row.prefix);
  const int64_t pairs = cosine_.size(1);
  const float* const cosine = cosine_.const_data_ptr<float>() + position * pairs;
  const float* const sine = sine_.const_data_ptr<float>() + position * pairs;
  for (int64_t i = 0; i < pairs; ++i) {
    const float even = head[2 * i], odd = head[2 * i + 1];
    head[2 * i] = even * cosine[i] - odd * sine[i];
    head[2 * i + 1] = odd * cosine[i] + even * sine[i];
  }
}

}  // namespace ddpt::codet5p
