#include "core/model/t5_model.h"

#include <ATen/ATen.h>

#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/model/attention.h"
#include "core/model/decoder_trunk.h"
#include "core/model/kv_state.h"
#include "core/model/pause_behind.h"
#include "core/model/t5_layers.h"

namespace ddpt {
namespace t5 {
namespace {

constexpr char kRelativeBias[] = ".block.0.layer.0.SelfAttention.relative_attention_bias.weight";

std::vector<Block> Blocks(const StateDict& weights, const T5Config& config, bool decoder) {
  const char* stack = decoder ? "decoder" : "encoder";
  std::vector<Block> blocks;
  for (int64_t i = 0; i < (decoder ? config.decoder_layers : config.encoder_layers); ++i) {
    blocks.emplace_back(weights, absl::StrCat(stack, ".block.", i, ".layer."), config, decoder);
  }
  return blocks;
}

class Model : public LanguageModel {
 public:
  Model(const T5Config& config, const StateDict& weights, std::string digest)
      : geometry_(OnDevice(T5Geometry(config), weights)),
        digest_(std::move(digest)),
        embedding_(weights.at("shared.weight")),
        head_(config.tied ? Linear(embedding_) : Linear(weights, "lm_head")),
        head_scale_(config.tied ? 1 / std::sqrt(static_cast<double>(config.width)) : 1),
        encoder_bias_(weights.at(absl::StrCat("encoder", kRelativeBias)), config, true),
        encoder_(Blocks(weights, config, false)),
        encoder_norm_{weights.at("encoder.final_layer_norm.weight"), config.epsilon},
        decoder_bias_(weights.at(absl::StrCat("decoder", kRelativeBias)), config, false),
        decoder_(Blocks(weights, config, true)),
        decoder_norm_{weights.at("decoder.final_layer_norm.weight"), config.epsilon} {}

  const ModelGeometry& geometry() const override { return geometry_; }
  const std::string& digest() const override { return digest_; }

  at::Tensor EmbedEncoderTokens(const at::Tensor& ids) const override {
    return at::embedding(embedding_, ids);
  }

  at::Tensor Encode(const at::Tensor& embeddings, const at::Tensor& mask) const override {
    const at::Tensor bias = encoder_bias_.Square(embeddings.size(1)) + MaskBias(mask);
    at::Tensor x = embeddings.to(embedding_.scalar_type());
    for (const Block& block : encoder_) {
      const at::Tensor normed = block.self_norm(x);
      x = x + block.self.Look(block.self.Query(normed), block.self.KeysValues(normed), bias);
      x = x + block.forward(block.forward_norm(x));
      PauseBehind(x);
    }
    return encoder_norm_(x);
  }

  DecoderTrunk Trunk(const at::Tensor& decoder_ids, const at::Tensor& positions) const override {
    return {{decoder_ids, positions}};
  }

  at::Tensor Head(const DecoderTrunk& trunk, const at::Tensor& states,
                  const at::Tensor& mask) const override {
    const int64_t rows = states.size(0);
    const at::Tensor ids = trunk.parts[0].expand({rows, -1});
    const at::Tensor x = Decode(ids, CrossHeads(states), MaskBias(mask), nullptr);
    return Logits(AtPositions(x, trunk.parts[1].expand({rows, -1})));
  }

  Prefilled Prefill(const at::Tensor& states, const at::Tensor& mask, const at::Tensor& prefix_ids,
                    std::span<const int64_t> lengths) const override {
    std::vector<Heads> cross = CrossHeads(states), layers;
    const at::Tensor cross_bias = MaskBias(mask);
    const at::Tensor x = Decode(prefix_ids, cross, cross_bias, &layers);
    const at::Tensor last = at::tensor(at::IntArrayRef(lengths.data(), lengths.size()), at::kLong)
                                .to(prefix_ids.device())
                                .unsqueeze(1) -
                            1;
    return {std::make_unique<KvState>(std::move(layers), std::move(cross), cross_bias, lengths),
            Logits(AtPositions(x, last)).squeeze(1)};
  }

  at::Tensor Step(DecoderState& decoder_state, const at::Tensor& ids) const override {
    KvState& state = static_cast<KvState&>(decoder_state);
    const KvState::Next next = state.Begin();
    const at::Tensor bias = next.bias + decoder_bias_.Rows(next.positions, next.bias.size(-1));
    at::Tensor x = at::embedding(embedding_, ids.unsqueeze(1));
    for (size_t i = 0; i < decoder_.size(); ++i) {
      const Block& block = decoder_[i];
      const at::Tensor normed = block.self_norm(x);
      const Heads past = state.Put(i, block.self.KeysValues(normed), next.positions);
      x = x + block.self.Look(block.self.Query(normed), past, bias);
      x = Rest(block, x, state.cross(i), state.cross_bias());
    }
    state.End();
    return Logits(x).squeeze(1);
  }

 private:
  // Keys and values of encoder states [B, S, d] for each decoder layer.
  std::vector<Heads> CrossHeads(const at::Tensor& states) const {
    std::vector<Heads> heads;
    for (const Block& block : decoder_) heads.push_back(block.cross.KeysValues(states));
    return heads;
  }

  // What comes after a decoder layer's self-attention.
  static at::Tensor Rest(const Block& block, const at::Tensor& x, const Heads& cross,
                         const at::Tensor& cross_bias) {
    const at::Tensor looked =
        x + block.cross.Look(block.cross.Query(block.cross_norm(x)), cross, cross_bias);
    return looked + block.forward(block.forward_norm(looked));
  }

  // Last layer's output for whole sequences [B, T]; keeps keys and values where `kept` is given.
  at::Tensor Decode(const at::Tensor& ids, const std::vector<Heads>& cross,
                    const at::Tensor& cross_bias, std::vector<Heads>* kept) const {
    const at::Tensor bias = decoder_bias_.Square(ids.size(1)) + CausalBias(ids);
    at::Tensor x = at::embedding(embedding_, ids);
    for (size_t i = 0; i < decoder_.size(); ++i) {
      const Block& block = decoder_[i];
      const at::Tensor normed = block.self_norm(x);
      const Heads heads = block.self.KeysValues(normed);
      x = x + block.self.Look(block.self.Query(normed), heads, bias);
      x = Rest(block, x, cross[i], cross_bias);
      PauseBehind(x);
      if (kept != nullptr) kept->push_back(heads);
    }
    return x;
  }

  // x [B, P, d] before the final norm -> float32 [B, P, vocabulary]
  at::Tensor Logits(const at::Tensor& x) const {
    return head_.InSlices(decoder_norm_(x) * head_scale_).to(at::kFloat);
  }

  const ModelGeometry geometry_;
  const std::string digest_;
  const at::Tensor embedding_;
  const Linear head_;
  const double head_scale_;
  const RelativeBias encoder_bias_;
  const std::vector<Block> encoder_;
  const Norm encoder_norm_;
  const RelativeBias decoder_bias_;
  const std::vector<Block> decoder_;
  const Norm decoder_norm_;
};

}  // namespace
}  // namespace t5

absl::StatusOr<std::shared_ptr<const LanguageModel>> CreateT5Model(const T5Config& config,
                                                                   const StateDict& weights,
                                                                   std::string digest) {
  DDPT_RETURN_IF_ERROR(ValidateT5Config(config));
  DDPT_RETURN_IF_ERROR(CheckShapes(T5TensorShapes(config), ShapesOf(weights), "t5"));
  return std::make_shared<const t5::Model>(config, weights, std::move(digest));
}

}  // namespace ddpt
