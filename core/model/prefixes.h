#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/model/attention.h"
#include "core/model/geometry.h"

namespace ddpt {

// Prefix tuning (Li & Liang, 2021), three prefixes as there, or the decoder's alone as in PEFT:
// virtual tokens that a model has no embeddings of, but keys and values in each attention layer,
// which are trained directly (no network makes them, as is PEFT's default). They stand before those
// of the row's own tokens and all of them see them. They have no position: keys are stored as they
// are looked at (CodeT5+ does not rotate them), T5 adds no relative bias, and the row's own tokens
// are where they are without a prefix.
struct Prefixes {
  // Of the layers of one kind.
  struct Part {
    std::vector<Heads> layers;     // keys and values [B, H, n, hd]; empty where no row has any
    std::vector<int64_t> lengths;  // row b has the first lengths[b] of the n
    at::Tensor bias;               // [B, 1, 1, n] float32: hides the others

    bool empty() const { return layers.empty(); }
    // Keys and values `own` [B, H, S, hd] of a layer, and a bias that is broadcastable to
    // [B, H, T, S], behind the prefix: n + S. As they are where the part is empty. B may be 1 here.
    Heads Before(size_t layer, const Heads& own) const;
    at::Tensor Before(const at::Tensor& own) const;
  };

  Part encoder;  // self-attention
  Part decoder;  // self-attention
  Part cross;
};

// A prefix is stored as [n, PrefixWidth]: for each virtual token the encoder's layers, the
// decoder's, and those of cross-attention, of each layer the key, then the value, each head by
// head; or the decoder's alone.

// Of rows [n_b, w_b], which have the width of a prefix of the model, or are undefined for rows
// without one. Differentiable.
Prefixes UnpackPrefixes(const ModelGeometry& geometry, std::span<const at::Tensor> rows);
// The first row, [n, PrefixWidth(place)], of prefixes that have one length in all parts.
at::Tensor PackPrefix(const Prefixes& prefixes, PrefixPlace place);

}  // namespace ddpt
