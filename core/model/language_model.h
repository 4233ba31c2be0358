#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "core/model/geometry.h"
#include "core/model/kv_memory.h"

namespace at {
class Tensor;
}

namespace ddpt {

class PrefixCache;
class Team;
struct DecoderTrunk;
struct Prefixes;

// What decoding remembers between tokens: keys and values of each row's past. Row b has its own
// length. Belongs to the model that made it; not thread-safe.
class DecoderState {
 public:
  virtual ~DecoderState() = default;
  virtual int64_t rows() const = 0;
  // Row i becomes the old row rows[i]: drops, reorders or repeats rows. At least one.
  virtual void Select(std::span<const int64_t> rows) = 0;
  // Puts the rows of `other`, of the same model, behind the present ones.
  virtual void Append(std::unique_ptr<DecoderState> other) = 0;
};

// A frozen encoder-decoder (a decoder-only family would embed and encode to nothing). Use, for the
// log-probabilities of answers under a soft prompt [n, w] (core/model/batch.h builds the inputs):
//
//   embeddings = [prompt ; EmbedEncoderTokens(instruction)]            [B, n+S, w]
//   states     = Encode(embeddings, mask)                              [B, n+S, w]
//   trunk      = Trunk(decoder_ids, positions)     once per example, it does not see the prompt
//   log_probs  = TargetLogProbs(Head(trunk, states, mask), targets)    [B, P]
//
// Everything is differentiable with respect to `embeddings` and `states`, and with respect to the
// weights where those require gradients. Prefixes (core/model/prefixes.h) may stand in the
// attention layers, one for each row; the functions that are not told of any go without. A prefix
// in the decoder is seen by the trunk too, which is then differentiable with respect to it. Const
// after construction and thread-safe; calls block for the computation, and LibTorch's exceptions
// (std::exception) pass through them. Tensors are taken and returned on device(). Ids are int64; a
// mask is [B, S], non-zero where there is a token, and padding stands on the right. Lengths must
// not exceed geometry().max_positions and ids must be inside the vocabulary: callers check.
class LanguageModel {
 public:
  struct Prefilled;  // core/model/decoder_trunk.h

  virtual ~LanguageModel() = default;

  virtual const ModelGeometry& geometry() const = 0;
  // SHA-256 over configuration, names, shapes and bytes of the weights as stored, hexadecimal; ""
  // for weights made in memory.
  virtual const std::string& digest() const = 0;

  // ids [B, S] -> [B, S, w], in the compute dtype.
  virtual at::Tensor EmbedEncoderTokens(const at::Tensor& ids) const = 0;
  // embeddings [B, S, w] (any float dtype), mask [B, S] -> encoder states [B, S, w], compute dtype.
  // What stands at padding is meaningless, and read by nothing.
  virtual at::Tensor Encode(const at::Tensor& embeddings, const at::Tensor& mask,
                            const Prefixes& prefixes) const = 0;
  at::Tensor Encode(const at::Tensor& embeddings, const at::Tensor& mask) const;

  // All of the teacher-forced decoder that does not depend on the encoder, at the given positions:
  // decoder_ids [B, T] (prefix first, padded on the right), positions [B, P] in 0..T-1. The
  // logits at position i are those of the token that follows decoder_ids[i].
  virtual DecoderTrunk Trunk(const at::Tensor& decoder_ids, const at::Tensor& positions,
                             const Prefixes& prefixes) const = 0;
  DecoderTrunk Trunk(const at::Tensor& decoder_ids, const at::Tensor& positions) const;
  // The rest: float32 logits [B, P, vocabulary]. A trunk of one row serves any number of rows of
  // states.
  virtual at::Tensor Head(const DecoderTrunk& trunk, const at::Tensor& states,
                          const at::Tensor& mask, const Prefixes& prefixes) const = 0;
  at::Tensor Head(const DecoderTrunk& trunk, const at::Tensor& states,
                  const at::Tensor& mask) const;

  // Starts decoding: prefix ids [B, T] (mostly start token first), padded on the right to the
  // longest; lengths[b] >= 1 of row b. Also gives the float32 logits [B, vocabulary] after each
  // row's last token. Row b's numbers are those of its own sequence alone up to float rounding.
  // `cache`, which may be null, saves the decoder's part for prefixes that it knows, in families
  // where that does not depend on the encoder; another company changes those rows by no bit.
  virtual Prefilled Prefill(const at::Tensor& states, const at::Tensor& mask,
                            const at::Tensor& prefix_ids, std::span<const int64_t> lengths,
                            const Prefixes& prefixes, PrefixCache* cache) const = 0;
  Prefilled Prefill(const at::Tensor& states, const at::Tensor& mask, const at::Tensor& prefix_ids,
                    std::span<const int64_t> lengths) const;
  // Appends ids [B] to the rows of `state`; float32 logits [B, vocabulary] after them, which may be
  // the state's own, until the next step. The caller keeps every row within max_positions. On a
  // processor the helpers of `team` take their share; without one this thread does all.
  virtual at::Tensor Step(DecoderState& state, const at::Tensor& ids, Team& team) const = 0;
  at::Tensor Step(DecoderState& state, const at::Tensor& ids) const;
  // Whether Step gives a row the same bits in any company.
  bool steps_in_fixed_order() const;
  // Bytes that all states of this model hold now for keys and values.
  size_t kv_bytes() const { return kv_meter_->bytes(); }
  // What a state of such rows comes to hold at most.
  size_t KvBytesOf(std::span<const KvNeed> needs) const;

  // The keys and values that the model itself has for ids [B, S] without padding: of the encoder,
  // of a decoder that reads them too, and of its cross-attention to that encoder.
  virtual Prefixes KeysAndValues(const at::Tensor& ids) const = 0;

 protected:
  const std::shared_ptr<KvMeter>& kv_meter() const { return kv_meter_; }

 private:
  const std::shared_ptr<KvMeter> kv_meter_ = std::make_shared<KvMeter>();
};

}  // namespace ddpt
