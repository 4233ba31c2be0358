#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace ddpt {

// What the attention of all families is made of. Shapes: B rows, T or S tokens, H heads, hd = width
// of a head. Pure functions.

struct Heads {
  at::Tensor query, key, value;  // [B, H, T, hd]; query undefined for what others attend to
};

// Multi-head attention without projections: q [B, H, T, hd]; k, v [B, H, S, hd]; the scores, which
// are float32, are divided by `scale`, and `bias`, float32 and broadcastable to [B, H, T, S], is
// added. -> [B, T, H*hd]
at::Tensor Attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                  const at::Tensor& bias, double scale);

// The bias that hides what is false: lowest float where `visible` is false, else 0.
at::Tensor BiasOf(const at::Tensor& visible);
// mask [B, S] -> [B, 1, 1, S]
at::Tensor MaskBias(const at::Tensor& mask);
// What a token may see: itself and those before it. [1, 1, T, T] for ids [B, T].
at::Tensor CausalBias(const at::Tensor& ids);

// x [B, T, d] at positions [B, P] -> [B, P, d]
at::Tensor AtPositions(const at::Tensor& x, const at::Tensor& positions);

}  // namespace ddpt
