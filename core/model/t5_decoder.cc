#include "core/model/t5_decoder.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/base/math_inline.h"
#include "core/model/t5_layers.h"

namespace ddpt::t5 {
namespace {

constexpr char kRelativeBias[] =
    "decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight";

}  // namespace

Decoder::Layer::Layer(const StateDict& weights, const std::string& prefix, bool gated)
    : self_norm(FloatsOf(weights.at(prefix + "0.layer_norm.weight"))),
      cross_norm(FloatsOf(weights.at(prefix + "1.layer_norm.weight"))),
      forward_norm(FloatsOf(weights.at(prefix + "2.layer_norm.weight"))),
      query(weights, prefix + "0.SelfAttention.q"),
      key(weights, prefix + "0.SelfAttention.k"),
      value(weights, prefix + "0.SelfAttention.v"),
      out(weights, prefix + "0.SelfAttention.o"),
      cross_query(weights, prefix + "1.EncDecAttention.q"),
      cross_out(weights, prefix + "1.EncDecAttention.o"),
      in(weights, prefix + (gated ? "2.DenseReluDense.wi_0" : "2.DenseReluDense.wi")),
      gate(gated ? Linear(weights, prefix + "2.DenseReluDense.wi_1") : Linear()),
      outer(weights, prefix + "2.DenseReluDense.wo") {}

Decoder::Decoder(const StateDict& weights, const T5Config& config, const ModelKernels& kernels)
    : kernels_(kernels),
      width_(static_cast<size_t>(config.width)),
      heads_(static_cast<size_t>(config.heads)),
      head_width_(static_cast<size_t>(config.head_width)),
      inner_(static_cast<size_t>(config.inner)),
      epsilon_(static_cast<float>(config.epsilon)),
      embedding_(weights.at("shared.weight").detach()),
      head_(config.tied ? Linear(embedding_) : Linear(weights, "lm_head")),
      head_scale_(config.tied ? 1 / std::sqrt(static_cast<float>(config.width)) : 1),
      middle_(config.max_positions - 1),
      bias_(FloatsOf(RelativeBias(weights.at(kRelativeBias), config, false).table().t())),
      norm_(FloatsOf(weights.at("decoder.final_layer_norm.weight"))) {
  for (int64_t i = 0; i < config.decoder_layers; ++i) {
    layers_.emplace_back(weights, absl::StrCat("decoder.block.", i, ".layer."), config.gated);
  }
}

at::Tensor Decoder::Step(KvRows& state, const at::Tensor& ids, Team& team) const {
  state.Grow();
  KvRows::Buffers& buffers = state.buffers();
  buffers.Fit({width_, heads_ * head_width_, inner_, static_cast<size_t>(head_.outputs())},
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
  member.ForEach(buffers.rows,
                 [&](size_t row) { EmbedToken(embedding_, ids[row], &buffers.x[row * width_]); });
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    Prepare(member, state, layer.self_norm, layer.query.type());
    const PreparedRows normed = buffers.prepared.view(buffers.rows);
    member.Multiply(layer.query.view(), normed, buffers.query.data());
    member.Multiply(layer.key.view(), normed, buffers.key.data());
    member.Multiply(layer.value.view(), normed, buffers.value.data());
    member.Sync();
    LookAtOwn(member, state, i);
    PrepareAttended(member, state, layer.out.type());
    member.Multiply(layer.out.view(), normed, buffers.x.data(), /*add=*/true);
    member.Sync();

    Prepare(member, state, layer.cross_norm, layer.cross_query.type());
    member.Multiply(layer.cross_query.view(), normed, buffers.query.data());
    member.Sync();
    LookAtEncoder(member, state, i);
    PrepareAttended(member, state, layer.cross_out.type());
    member.Multiply(layer.cross_out.view(), normed, buffers.x.data(), /*add=*/true);
    member.Sync();

    Prepare(member, state, layer.forward_norm, layer.in.type());
    Forward(member, state, layer);
  }
  Prepare(member, state, norm_, head_.type(), head_scale_);
  member.Multiply(head_.view(), buffers.prepared.view(buffers.rows),
                  buffers.logits.mutable_data_ptr<float>());
}

// The residual stream, normed, for a product with a matrix of `type`.
void Decoder::Prepare(StepMember& member, KvRows& state, const at::Tensor& norm, MatrixType type,
                      float scale) const {
  KvRows::Buffers& buffers = state.buffers();
  member.ForEach(buffers.rows, [&](size_t row) {
    float* const normed = member.own.row.data();
    kernels_.rms_norm(width_, &buffers.x[row * width_], norm.const_data_ptr<float>(), epsilon_,
                      normed);
    if (scale != 1) {
      for (size_t i = 0; i < width_; ++i) normed[i] *= scale;
    }
    kernels_.prepare(type, normed, width_, buffers.prepared.row(row), buffers.prepared.scale(row));
  });
  member.Sync();
}

void Decoder::PrepareAttended(StepMember& member, KvRows& state, MatrixType type) const {
  KvRows::Buffers& buffers = state.buffers();
  const size_t width = heads_ * head_width_;
  member.Sync();
  member.ForEach(buffers.rows, [&](size_t row) {
    kernels_.prepare(type, &buffers.attended[row * width], width, buffers.prepared.row(row),
                     buffers.prepared.scale(row));
  });
  member.Sync();
}

void Decoder::LookAtOwn(StepMember& member, KvRows& state, size_t layer) const {
  KvRows::Buffers& buffers = state.buffers();
  const KvLayout& layout = state.past_layout();
  member.ForEach(buffers.rows * heads_, [&](size_t i) {
    KvRows::Row& row = state.row(i / heads_);
    const size_t head = i % heads_, at = i * head_width_;
    row.past.Put(layout, row.past.length() - 1, layer, head, &buffers.key[at], &buffers.value[at]);
    member.Attend(layout, row.past, layer, head, &buffers.query[at], /*scale=*/1,
                  Bias(member, row, head), &buffers.attended[at]);
  });
}

void Decoder::LookAtEncoder(StepMember& member, KvRows& state, size_t layer) const {
  KvRows::Buffers& buffers = state.buffers();
  member.ForEach(buffers.rows * heads_, [&](size_t i) {
    const size_t head = i % heads_, at = i * head_width_;
    member.Attend(state.cross_layout(), *state.row(i / heads_).cross, layer, head,
                  &buffers.query[at], /*scale=*/1, /*bias=*/nullptr, &buffers.attended[at]);
  });
}

void Decoder::Forward(StepMember& member, KvRows& state, const Layer& layer) const {
  KvRows::Buffers& buffers = state.buffers();
  const PreparedRows normed = buffers.prepared.view(buffers.rows);
  member.Multiply(layer.in.view(), normed, buffers.inner.data());
  if (layer.gate.defined()) member.Multiply(layer.gate.view(), normed, buffers.gate.data());
  member.ForOutputs(buffers.rows, inner_, [&](size_t first, size_t count) {
    float* const inner = &buffers.inner[first];
    if (!layer.gate.defined()) return kernels_.relu(count, inner);
    kernels_.gelu(count, inner);
    for (size_t i = 0; i < count; ++i) inner[i] *= buffers.gate[first + i];
  });
  member.Sync();
  member.ForEach(buffers.rows, [&](size_t row) {
    kernels_.prepare(layer.outer.type(), &buffers.inner[row * inner_], inner_,
                     buffers.prepared_inner.row(row), buffers.prepared_inner.scale(row));
  });
  member.Sync();
  member.Multiply(layer.outer.view(), buffers.prepared_inner.view(buffers.rows), buffers.x.data(),
                  /*add=*/true);
  member.Sync();
}

// What a row's last token adds to its scores; 0 to the places of its prefix.
const float* Decoder::Bias(StepMember& member, const KvRows::Row& row, size_t head) const {
  const auto tokens = static_cast<int64_t>(row.past.length());
  const float* const of_head =
      bias_.const_data_ptr<float>() + static_cast<int64_t>(head) * bias_.size(1);
  const int64_t first = middle_ - (tokens - 1);  // of the token at place 0
  if (row.prefix == 0) return of_head + first;
  float* const bias = member.own.bias.data();
  for (int64_t i = 0; i < tokens; ++i) {
    bias[i] = i < static_cast<int64_t>(row.prefix) ? 0 : of_head[first + i];
  }
  return bias;
}

}  // namespace ddpt::t5
