#include "core/model/codet5p_model.h"

#include <ATen/ATen.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/model/cached_prefix.h"
#include "core/model/codet5p_cuda_decoder.h"
#include "core/model/codet5p_decoder.h"
#include "core/model/codet5p_layers.h"
#include "core/model/decoder_trunk.h"
#include "core/model/kernels.h"
#include "core/model/kv_rows.h"
#include "core/model/kv_state.h"
#include "core/model/pause_behind.h"
#include "core/model/prefix_cache.h"
#include "core/model/prefixes.h"

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

// What a stack's blocks have in common.
struct Pass {
  Rotary rotary;    // of the tokens' positions
  at::Tensor bias;  // of the tokens and of the prefix before them
  const Prefixes::Part& prefix;
  std::vector<Heads>* kept = nullptr;  // gets each block's keys and values, those of the prefix too
};

// A block over x [B, T, d], whose norm is `normed`.
at::Tensor Through(const Block& block, size_t layer, const at::Tensor& x, const at::Tensor& normed,
                   const Pass& pass) {
  const Heads heads = pass.prefix.Before(layer, block.Split(normed, pass.rotary));
  if (pass.kept != nullptr) {
    pass.kept->push_back({at::Tensor(), heads.key.contiguous(), heads.value.contiguous()});
  }
  return block.Join(x, normed, Attend(heads.query, heads.key, heads.value, pass.bias));
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
        decoder_embedding_(weights.at(absl::StrCat(kDecoderStack, "wte.weight"))),
        decoder_blocks_(Blocks(weights, kDecoderStack, config.decoder)),
        cross_(weights, CrossPrefix(config), config.decoder.heads),
        decoder_norm_(FinalNorm(weights, kDecoderStack, config.decoder.epsilon)),
        decoder_rotary_(Rotary::Table(config.max_positions, config.decoder.rotary_dim,
                                      decoder_embedding_.detach())),
        head_(weights, "decoder.lm_head"),
        cuda_decoder_(CudaDecoder::Create(weights, config, decoder_rotary_)) {
    const ModelKernels* const kernels = BestModelKernels();
    if (kernels == nullptr || !decoder_embedding_.is_cpu()) return;
    fast_decoder_ = std::make_unique<Decoder>(weights, config, decoder_rotary_, *kernels);
  }

  const ModelGeometry& geometry() const override { return geometry_; }
  const std::string& digest() const override { return digest_; }

  at::Tensor EmbedEncoderTokens(const at::Tensor& ids) const override {
    return at::embedding(encoder_embedding_, ids);
  }

  at::Tensor Encode(const at::Tensor& embeddings, const at::Tensor& mask,
                    const Prefixes& prefixes) const override {
    return Encode(embeddings, mask, prefixes.encoder, nullptr);
  }

  DecoderTrunk Trunk(const at::Tensor& decoder_ids, const at::Tensor& positions,
                     const Prefixes& prefixes) const override {
    const Last last = Decode(decoder_ids, prefixes.decoder, nullptr);
    return {{AtPositions(last.base, positions), cross_.Query(AtPositions(last.normed, positions)),
             positions}};
  }

  at::Tensor Head(const DecoderTrunk& trunk, const at::Tensor& states, const at::Tensor& mask,
                  const Prefixes& prefixes) const override {
    const at::Tensor &base = trunk.parts[0], &query = trunk.parts[1], &positions = trunk.parts[2];
    const Heads cross = prefixes.cross.Before(0, CrossHeads(states));
    const at::Tensor queries = cross_.QueryHeads(query, decoder_rotary_.At(positions));
    return Finish(base,
                  Attend(queries, cross.key, cross.value, prefixes.cross.Before(MaskBias(mask))));
  }

  Prefilled Prefill(const at::Tensor& states, const at::Tensor& mask, const at::Tensor& prefix_ids,
                    std::span<const int64_t> lengths, const Prefixes& prefixes,
                    PrefixCache* cache) const override {
    std::vector<Heads> cross = {prefixes.cross.Before(0, CrossHeads(states))};
    const at::Tensor cross_bias = prefixes.cross.Before(MaskBias(mask));
    const at::Tensor last = at::tensor(at::IntArrayRef(lengths.data(), lengths.size()), at::kLong)
                                .to(prefix_ids.device())
                                .unsqueeze(1) -
                            1;
    if (fast_decoder_ != nullptr && cache != nullptr && prefixes.decoder.empty()) {
      return PrefillByCache(cross, cross_bias, prefix_ids, lengths, last, *cache);
    }
    std::vector<Heads> layers;
    const auto [x, normed] = Decode(prefix_ids, prefixes.decoder, &layers);
    at::Tensor logits =
        DecodeHead(cross[0], cross_bias, AtPositions(x, last), AtPositions(normed, last), last);
    if (fast_decoder_ != nullptr && !logits.requires_grad()) {
      auto rows = KvRows::PastOf(geometry_, kv_meter(), layers, lengths, prefixes.decoder);
      return {std::make_unique<KvRows>(geometry_, kv_meter(), std::move(rows), cross, cross_bias),
              std::move(logits)};
    }
    return {std::make_unique<KvState>(kv_meter(), std::move(layers), std::move(cross), cross_bias,
                                      lengths, prefixes.decoder),
            std::move(logits)};
  }

  using LanguageModel::Step;
  at::Tensor Step(DecoderState& decoder_state, const at::Tensor& ids, Team& team) const override {
    if (auto* rows = dynamic_cast<KvRows*>(&decoder_state)) {
      return fast_decoder_->Step(*rows, ids, team);
    }
    KvState& state = static_cast<KvState&>(decoder_state);
    if (cuda_decoder_ != nullptr && cuda_decoder_->Takes(state)) {
      return cuda_decoder_->Step(state, ids);
    }
    const KvState::Next next = state.Begin();
    const at::Tensor positions = next.positions.unsqueeze(1);
    const Rotary rotary = decoder_rotary_.At(positions);
    at::Tensor x = at::embedding(decoder_embedding_, ids.unsqueeze(1)), normed;
    for (size_t i = 0; i < decoder_blocks_.size(); ++i) {
      const Block& block = decoder_blocks_[i];
      normed = block.Normed(x);
      const Heads token = block.Split(normed, rotary);
      const Heads past = state.Put(i, token, next.places);
      x = block.Join(x, normed, Attend(token.query, past.key, past.value, next.bias));
    }
    state.End();
    return DecodeHead(state.cross(), state.cross_bias(), x, normed, positions);
  }

  Prefixes KeysAndValues(const at::Tensor& ids) const override {
    Prefixes found;
    const at::Tensor mask = at::ones_like(ids, ids.options().dtype(at::kBool));
    const at::Tensor states =
        Encode(EmbedEncoderTokens(ids), mask, Prefixes::Part(), &found.encoder.layers);
    Decode(ids, Prefixes::Part(), &found.decoder.layers);
    found.cross.layers = {CrossHeads(states)};
    return found;
  }

 private:
  // The last decoder block's output without cross-attention, and what that and it start from.
  struct Last {
    at::Tensor base, normed;  // [B, T, d]
  };

  at::Tensor Encode(const at::Tensor& embeddings, const at::Tensor& mask,
                    const Prefixes::Part& prefix, std::vector<Heads>* kept) const {
    const Pass pass{encoder_rotary_.First(embeddings.size(1)), prefix.Before(MaskBias(mask)),
                    prefix, kept};
    at::Tensor x = embeddings.to(encoder_embedding_.scalar_type());
    for (size_t i = 0; i < encoder_blocks_.size(); ++i) {
      x = Through(encoder_blocks_[i], i, x, encoder_blocks_[i].Normed(x), pass);
      PauseBehind(x);
    }
    return encoder_norm_(x);
  }

  Last Decode(const at::Tensor& ids, const Prefixes::Part& prefix, std::vector<Heads>* kept) const {
    const Pass pass{decoder_rotary_.First(ids.size(1)), prefix.Before(CausalBias(ids)), prefix,
                    kept};
    Last last{at::embedding(decoder_embedding_, ids), {}};
    for (size_t i = 0; i < decoder_blocks_.size(); ++i) {
      last.normed = decoder_blocks_[i].Normed(last.base);
      last.base = Through(decoder_blocks_[i], i, last.base, last.normed, pass);
      PauseBehind(last.base);
    }
    return last;
  }

  // Ids [T] by themselves, so that the bits are the same in any company.
  std::shared_ptr<const CachedPrefix> PrefixOf(const at::Tensor& ids, PrefixCache& cache) const {
    const auto* first = ids.const_data_ptr<int64_t>();
    const std::vector<int64_t> key(first, first + ids.size(0));
    if (auto found = cache.Find(key)) return found;
    const std::vector<int64_t> length = {ids.size(0)};
    std::vector<Heads> layers;
    const auto [base, normed] = Decode(ids.unsqueeze(0), Prefixes::Part(), &layers);
    auto rows = KvRows::PastOf(geometry_, kv_meter(), layers, length, Prefixes::Part());
    const auto entry = std::make_shared<const CachedPrefix>(
        CachedPrefix{std::move(rows[0].past), base.narrow(1, length[0] - 1, 1).clone(),
                     normed.narrow(1, length[0] - 1, 1).clone()});
    cache.Keep(key, entry);
    return entry;
  }

  Prefilled PrefillByCache(const std::vector<Heads>& cross, const at::Tensor& cross_bias,
                           const at::Tensor& prefix_ids, std::span<const int64_t> lengths,
                           const at::Tensor& last, PrefixCache& cache) const {
    std::vector<KvRows::Row> rows;
    std::vector<at::Tensor> bases, normed;
    for (size_t i = 0; i < lengths.size(); ++i) {
      const auto entry =
          PrefixOf(prefix_ids[static_cast<int64_t>(i)].narrow(0, 0, lengths[i]), cache);
      rows.push_back({entry->past, 0, nullptr});
      bases.push_back(entry->base);
      normed.push_back(entry->normed);
    }
    at::Tensor logits =
        DecodeHead(cross[0], cross_bias, at::cat(bases, 0), at::cat(normed, 0), last);
    return {std::make_unique<KvRows>(geometry_, kv_meter(), std::move(rows), cross, cross_bias),
            std::move(logits)};
  }

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
  at::Tensor DecodeHead(const Heads& cross, const at::Tensor& cross_bias, const at::Tensor& base,
                        const at::Tensor& normed, const at::Tensor& positions) const {
    const at::Tensor queries =
        cross_.QueryHeads(cross_.Query(normed), decoder_rotary_.At(positions));
    return Finish(base, Attend(queries, cross.key, cross.value, cross_bias)).squeeze(1);
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
  const std::unique_ptr<const CudaDecoder> cuda_decoder_;  // where a GPU has kernels for it
  std::unique_ptr<const Decoder> fast_decoder_;            // where the processor has kernels for it
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
