#include "core/model/codet5p_model.h"

#include <ATen/ATen.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/model/codet5p_layers.h"
#include "core/model/decoder_trunk.h"
#include "core/model/kv_state.h"
#include "core/model/pause_behind.h"

namespace ddpt {
namespace codet5p {
namespace {

std::vector<Block> Blocks(const StateDict& weights, const std::string& prefix,
                          const Codet5pConfig::Stack& stack) {
  std::vector<Block> blocks;
  for (int64_t layer = 0; layer < stack.layers; ++layer) {
    blocks.emplace_back(weights, absl::StrCat(prefix, "h.", layer, "."), stack);
  }
  return blocks;
}

Norm FinalNorm(const StateDict& weights, const std::string& prefix, double epsilon) {
  return {weights.at(prefix + "ln_f.weight"), weights.at(prefix + "ln_f.bias"), epsilon};
}

std::string CrossPrefix(const Codet5pConfig& config) {
  return absl::StrCat("decoder.transformer.h.", config.decoder.layers - 1, ".crossattention.");
}

class Model : public LanguageModel {
 public:
  Model(const Codet5pConfig& config, const StateDict& weights, std::string digest)
      : geometry_(OnDevice(Codet5pGeometry(config), weights)),
        digest_(std::move(digest)),
        encoder_embedding_(weights.at("encoder.wte.weight")),
        encoder_blocks_(Blocks(weights, "encoder.", config.encoder)),
        encoder_norm_(FinalNorm(weights, "encoder.", config.encoder.epsilon)),
        encoder_rotary_(Rotary::Table(config.max_positions, config.encoder.rotary_dim,
                                      encoder_embedding_.detach())),
        project_(config.encoder.width == config.decoder.width ? Linear()
                                                              : Linear(weights, "enc_to_dec_proj")),
        decoder_embedding_(weights.at("decoder.transformer.wte.weight")),
        decoder_blocks_(Blocks(weights, "decoder.transformer.", config.decoder)),
        cross_(weights, CrossPrefix(config), config.decoder.heads),
        decoder_norm_(FinalNorm(weights, "decoder.transformer.", config.decoder.epsilon)),
        decoder_rotary_(Rotary::Table(config.max_positions, config.decoder.rotary_dim,
                                      decoder_embedding_.detach())),
        head_(weights, "decoder.lm_head") {}

  const ModelGeometry& geometry() const override { return geometry_; }
  const std::string& digest() const override { return digest_; }

  at::Tensor EmbedEncoderTokens(const at::Tensor& ids) const override {
    return at::embedding(encoder_embedding_, ids);
  }

  at::Tensor Encode(const at::Tensor& embeddings, const at::Tensor& mask) const override {
    const Rotary rotary = encoder_rotary_.First(embeddings.size(1));
    const at::Tensor bias = MaskBias(mask);
    at::Tensor x = embeddings.to(encoder_embedding_.scalar_type());
    for (const Block& block : encoder_blocks_) {
      x = block.Forward(x, rotary, bias);
      PauseBehind(x);
    }
    return encoder_norm_(x);
  }

  DecoderTrunk Trunk(const at::Tensor& decoder_ids, const at::Tensor& positions) const override {
    const Rotary rotary = decoder_rotary_.First(decoder_ids.size(1));
    const at::Tensor bias = CausalBias(decoder_ids);
    at::Tensor x = at::embedding(decoder_embedding_, decoder_ids);
    for (size_t i = 0; i + 1 < decoder_blocks_.size(); ++i) {
      x = decoder_blocks_[i].Forward(x, rotary, bias);
      PauseBehind(x);
    }
    const Block& last = decoder_blocks_.back();
    const at::Tensor query = cross_.Query(AtPositions(last.Normed(x), positions));
    return {{AtPositions(last.Forward(x, rotary, bias), positions), query, positions}};
  }

  at::Tensor Head(const DecoderTrunk& trunk, const at::Tensor& states,
                  const at::Tensor& mask) const override {
    const at::Tensor &base = trunk.parts[0], &query = trunk.parts[1], &positions = trunk.parts[2];
    const Heads cross = CrossHeads(states);
    const at::Tensor queries = cross_.QueryHeads(query, decoder_rotary_.At(positions));
    return Finish(base, Attend(queries, cross.key, cross.value, MaskBias(mask)));
  }

  Prefilled Prefill(const at::Tensor& states, const at::Tensor& mask, const at::Tensor& prefix_ids,
                    std::span<const int64_t> lengths) const override {
    const Rotary rotary = decoder_rotary_.First(prefix_ids.size(1));
    const at::Tensor bias = CausalBias(prefix_ids);
    at::Tensor x = at::embedding(decoder_embedding_, prefix_ids), normed;
    std::vector<Heads> layers;
    for (const Block& block : decoder_blocks_) {
      normed = block.Normed(x);
      Heads heads = block.Split(normed, rotary);
      x = block.Join(x, normed, Attend(heads.query, heads.key, heads.value, bias));
      layers.push_back({at::Tensor(), heads.key.contiguous(), heads.value.contiguous()});
    }
    auto state = std::make_unique<KvState>(
        std::move(layers), std::vector<Heads>{CrossHeads(states)}, MaskBias(mask), lengths);
    const at::Tensor last = at::tensor(at::IntArrayRef(lengths.data(), lengths.size()), at::kLong)
                                .to(prefix_ids.device())
                                .unsqueeze(1) -
                            1;
    at::Tensor logits = DecodeHead(*state, AtPositions(x, last), AtPositions(normed, last), last);
    return {std::move(state), std::move(logits)};
  }

  at::Tensor Step(DecoderState& decoder_state, const at::Tensor& ids) const override {
    KvState& state = static_cast<KvState&>(decoder_state);
    const KvState::Next next = state.Begin();
    const at::Tensor positions = next.positions.unsqueeze(1);
    const Rotary rotary = decoder_rotary_.At(positions);
    at::Tensor x = at::embedding(decoder_embedding_, ids.unsqueeze(1)), normed;
    for (size_t i = 0; i < decoder_blocks_.size(); ++i) {
      const Block& block = decoder_blocks_[i];
      normed = block.Normed(x);
      const Heads token = block.Split(normed, rotary);
      const Heads past = state.Put(i, token, next.positions);
      x = block.Join(x, normed, Attend(token.query, past.key, past.value, next.bias));
    }
    state.End();
    return DecodeHead(state, x, normed, positions);
  }

 private:
  // Keys and values of encoder states [B, S, w].
  Heads CrossHeads(const at::Tensor& states) const {
    const at::Tensor projected = project_.defined() ? project_(states) : states;
    return cross_.Split(projected, decoder_rotary_.First(states.size(1)));
  }

  // The last block's output without cross-attention, and what cross-attention attended to.
  at::Tensor Finish(const at::Tensor& base, const at::Tensor& attended) const {
    const at::Tensor hidden = decoder_norm_(base + cross_.Project(attended));
    PauseBehind(hidden);
    return head_.InSlices(hidden).to(at::kFloat);
  }

  // base, normed [B, 1, d], positions [B, 1] -> [B, vocabulary]
  at::Tensor DecodeHead(const KvState& state, const at::Tensor& base, const at::Tensor& normed,
                        const at::Tensor& positions) const {
    const at::Tensor queries =
        cross_.QueryHeads(cross_.Query(normed), decoder_rotary_.At(positions));
    return Finish(base, Attend(queries, state.cross().key, state.cross().value, state.cross_bias()))
        .squeeze(1);
  }

  const ModelGeometry geometry_;
  const std::string digest_;
  const at::Tensor encoder_embedding_;
  const std::vector<Block> encoder_blocks_;
  const Norm encoder_norm_;
  const Rotary encoder_rotary_;
  const Linear project_;  // undefined where the widths are equal
  const at::Tensor decoder_embedding_;
  const std::vector<Block> decoder_blocks_;
  const CrossAttention cross_;
  const Norm decoder_norm_;
  const Rotary decoder_rotary_;
  const Linear head_;
};

}  // namespace
}  // namespace codet5p

absl::StatusOr<std::shared_ptr<const LanguageModel>> CreateCodet5pModel(const Codet5pConfig& config,
                                                                        const StateDict& weights,
                                                                        std::string digest) {
  DDPT_RETURN_IF_ERROR(ValidateCodet5pConfig(config));
  DDPT_RETURN_IF_ERROR(CheckShapes(Codet5pTensorShapes(config), ShapesOf(weights), "codet5p"));
  return std::make_shared<const codet5p::Model>(config, weights, std::move(digest));
}

absl::Status SaveCodet5p(const std::string& directory, const Codet5pConfig& config,
                         const StateDict& weights, DataType dtype) {
  DDPT_RETURN_IF_ERROR(WriteWeights(directory, weights, dtype));
  return WriteFileAtomic(directory + "/config.json", Codet5pConfigJson(config));
}

}  // namespace ddpt
