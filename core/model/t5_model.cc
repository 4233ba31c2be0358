#include "core/model/t5_model.h"

#include <ATen/ATen.h>

#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/model/attention.h"
#include "core/model/decoder_trunk.h"
#include "core/model/kernels.h"
#include "core/model/kv_rows.h"
#include "core/model/kv_state.h"
#include "core/model/pause_behind.h"
#include "core/model/prefixes.h"
#include "core/model/t5_decoder.h"
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
        decoder_norm_{weights.at("decoder.final_layer_norm.weight"), config.epsilon} {
    const ModelKernels* const kernels = BestModelKernels();
    if (kernels == nullptr || !embedding_.is_cpu()) return;
    fast_decoder_ = std::make_unique<Decoder>(weights, config, *kernels);
  }

  const ModelGeometry& geometry() const override { return geometry_; }
  const std::string& digest() const override { return digest_; }

  at::Tensor EmbedEncoderTokens(const at::Tensor& ids) const override {
    return at::embedding(embedding_, ids);
  }

  at::Tensor Encode(const at::Tensor& embeddings, const at::Tensor& mask,
                    const Prefixes& prefixes) const override {
    return Encode(embeddings, mask, prefixes.encoder, nullptr);
  }

  // The tokens alone: every layer of the decoder is in the head, and so is its prefix.
  DecoderTrunk Trunk(const at::Tensor& decoder_ids, const at::Tensor& positions,
                     const Prefixes&) const override {
    return {{decoder_ids, positions}};
  }

  at::Tensor Head(const DecoderTrunk& trunk, const at::Tensor& states, const at::Tensor& mask,
                  const Prefixes& prefixes) const override {
    const int64_t rows = states.size(0);
    const at::Tensor ids = trunk.parts[0].expand({rows, -1});
    const at::Tensor x =
        Decode(ids, CrossOf(states, mask, prefixes.cross), prefixes.decoder, nullptr);
    return Logits(AtPositions(x, trunk.parts[1].expand({rows, -1})));
  }

  Prefilled Prefill(const at::Tensor& states, const at::Tensor& mask, const at::Tensor& prefix_ids,
                    std::span<const int64_t> lengths, const Prefixes& prefixes,
                    PrefixCache*) const override {
    Cross cross = CrossOf(states, mask, prefixes.cross);
    std::vector<Heads> layers;
    const at::Tensor x = Decode(prefix_ids, cross, prefixes.decoder, &layers);
    const at::Tensor last = at::tensor(at::IntArrayRef(lengths.data(), lengths.size()), at::kLong)
                                .to(prefix_ids.device())
                                .unsqueeze(1) -
                            1;
    at::Tensor logits = Logits(AtPositions(x, last)).squeeze(1);
    if (fast_decoder_ != nullptr && !logits.requires_grad()) {
      auto rows = KvRows::PastOf(geometry_, kv_meter(), layers, lengths, prefixes.decoder);
      return {std::make_unique<KvRows>(geometry_, kv_meter(), std::move(rows), cross.layers,
                                       cross.bias),
              std::move(logits)};
    }
    return {std::make_unique<KvState>(kv_meter(), std::move(layers), std::move(cross.layers),
                                      cross.bias, lengths, prefixes.decoder),
            std::move(logits)};
  }

  using LanguageModel::Step;
  at::Tensor Step(DecoderState& decoder_state, const at::Tensor& ids, Team& team) const override {
    if (auto* rows = dynamic_cast<KvRows*>(&decoder_state)) {
      return fast_decoder_->Step(*rows, ids, team);
    }
    KvState& state = static_cast<KvState&>(decoder_state);
    const KvState::Next next = state.Begin();
    const at::Tensor bias =
        next.bias + decoder_bias_.Rows(next.places, next.prefixes, next.bias.size(-1));
    at::Tensor x = at::embedding(embedding_, ids.unsqueeze(1));
    for (size_t i = 0; i < decoder_.size(); ++i) {
      const Block& block = decoder_[i];
      const at::Tensor normed = block.self_norm(x);
      const Heads past = state.Put(i, block.self.KeysValues(normed), next.places);
      x = x + block.self.Look(block.self.Query(normed), past, bias);
      x = Rest(block, x, state.cross(i), state.cross_bias());
    }
    state.End();
    return Logits(x).squeeze(1);
  }

  Prefixes KeysAndValues(const at::Tensor& ids) const override {
    Prefixes found;
    const Prefixes::Part none;
    const at::Tensor mask = at::ones_like(ids, ids.options().dtype(at::kBool));
    const at::Tensor states = Encode(EmbedEncoderTokens(ids), mask, none, &found.encoder.layers);
    const Cross cross = CrossOf(states, mask, none);
    Decode(ids, cross, none, &found.decoder.layers);
    found.cross.layers = cross.layers;
    return found;
  }

 private:
  // What each decoder layer sees of the encoder.
  struct Cross {
    std::vector<Heads> layers;
    at::Tensor bias;
  };

  at::Tensor Encode(const at::Tensor& embeddings, const at::Tensor& mask,
                    const Prefixes::Part& prefix, std::vector<Heads>* kept) const {
    const at::Tensor bias =
        prefix.Before(encoder_bias_.Square(embeddings.size(1)) + MaskBias(mask));
    at::Tensor x = embeddings.to(embedding_.scalar_type());
    for (size_t i = 0; i < encoder_.size(); ++i) {
      const Block& block = encoder_[i];
      x = x + LookAtOwn(block, i, x, bias, prefix, kept);
      x = x + block.forward(block.forward_norm(x));
      PauseBehind(x);
    }
    return encoder_norm_(x);
  }

  // A layer's self-attention over x [B, T, d]; `kept` gets its keys and values, those of the prefix
  // too, where it is given.
  static at::Tensor LookAtOwn(const Block& block, size_t layer, const at::Tensor& x,
                              const at::Tensor& bias, const Prefixes::Part& prefix,
                              std::vector<Heads>* kept) {
    const at::Tensor normed = block.self_norm(x);
    const Heads heads = prefix.Before(layer, block.self.KeysValues(normed));
    if (kept != nullptr) kept->push_back(heads);
    return block.self.Look(block.self.Query(normed), heads, bias);
  }

  // Of encoder states [B, S, d] under their mask [B, S].
  Cross CrossOf(const at::Tensor& states, const at::Tensor& mask,
                const Prefixes::Part& prefix) const {
    Cross cross{{}, prefix.Before(MaskBias(mask))};
    for (size_t i = 0; i < decoder_.size(); ++i) {
      cross.layers.push_back(prefix.Before(i, decoder_[i].cross.KeysValues(states)));
    }
    return cross;
  }

  // What comes after a decoder layer's self-attention.
  static at::Tensor Rest(const Block& block, const at::Tensor& x, const Heads& cross,
                         const at::Tensor& cross_bias) {
    const at::Tensor looked =
        x + block.cross.Look(block.cross.Query(block.cross_norm(x)), cross, cross_bias);
    return looked + block.forward(block.forward_norm(looked));
  }

  // Last layer's output for whole sequences [B, T].
  at::Tensor Decode(const at::Tensor& ids, const Cross& cross, const Prefixes::Part& prefix,
                    std::vector<Heads>* kept) const {
    const at::Tensor bias = prefix.Before(decoder_bias_.Square(ids.size(1)) + CausalBias(ids));
    at::Tensor x = at::embedding(embedding_, ids);
    for (size_t i = 0; i < decoder_.size(); ++i) {
      x = x + LookAtOwn(decoder_[i], i, x, bias, prefix, kept);
      x = Rest(decoder_[i], x, cross.layers[i], cross.bias);
      PauseBehind(x);
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
  std::unique_ptr<const Decoder> fast_decoder_;  // where the processor has kernels for it
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
