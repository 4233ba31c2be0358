#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/model/attention.h"
#include "core/model/geometry.h"
#include "core/model/kv_memory.h"
#include "core/model/language_model.h"
#include "core/model/prefixes.h"

namespace ddpt {

// Keys and values of the past: per layer a cache [B, H, capacity, hd] that grows by doubling, of
// which row b uses the first places, for its prefix (core/model/prefixes.h), which takes room but
// no position, and then for its tokens; and those of the encoder, [B, H, S, hd], for each layer
// with cross-attention. All are contiguous.
class KvState : public DecoderState {
 public:
  // `layers` keys and values [B, H, n + T, hd] of `prefix`, n long, and of padded tokens, of which
  // row b has lengths[b]. `cross_bias` is [B, 1, 1, S].
  KvState(std::shared_ptr<KvMeter> meter, std::vector<Heads> layers, std::vector<Heads> cross,
          const at::Tensor& cross_bias, std::span<const int64_t> lengths,
          const Prefixes::Part& prefix);

  // What such rows hold at most, but for a moment while rows come and go, and for the encoder's
  // padding of longer rows that have gone.
  static size_t BytesOf(const ModelGeometry& geometry, std::span<const KvNeed> needs);

  int64_t rows() const override { return static_cast<int64_t>(lengths_.size()); }
  void Select(std::span<const int64_t> rows) override;
  void Append(std::unique_ptr<DecoderState> other) override;

  // Makes room for one more token a row.
  void MakeRoom();
  // The same, and gives its positions [B], its places in the cache [B],
  // how many of these the row's prefix takes [B], and the bias [B, 1, 1, longest + 1] that shows
  // row b its own past and present.
  struct Next {
    at::Tensor positions;
    at::Tensor places;
    at::Tensor prefixes;
    at::Tensor bias;
  };
  Next Begin();
  // Stores the token's keys and values [B, H, 1, hd] of a layer; gives all of the layer's, trimmed
  // to the longest row.
  Heads Put(size_t layer, const Heads& token, const at::Tensor& places);
  // After the last layer: every row is one token longer.
  void End();

  // Of each row, the prefix counted: the place of its next token. And of the prefix alone.
  const std::vector<int64_t>& lengths() const { return lengths_; }
  const std::vector<int64_t>& prefixes() const { return prefixes_; }
  // [B, H, capacity, hd], contiguous, until rows or capacity change.
  const Heads& past(size_t layer) const { return layers_[layer]; }
  const Heads& cross(size_t layer = 0) const { return cross_[layer]; }
  const at::Tensor& cross_bias() const { return cross_bias_; }

 private:
  int64_t Longest() const;
  void Reserve(int64_t tokens);
  void Count();

  KvShare share_;
  std::vector<Heads> layers_;
  std::vector<Heads> cross_;
  at::Tensor cross_bias_;
  std::vector<int64_t> lengths_;   // prefix and tokens
  std::vector<int64_t> prefixes_;  // prefix alone
};

}  // namespace ddpt
