#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "core/model/attention.h"
#include "core/model/codet5p_config.h"
#include "core/model/linear.h"
#include "core/model/state_dict.h"

namespace ddpt::codet5p {

// The parts of a CodeT5+ parallel-block model (inside of codet5p_model.cc): CodeGen's blocks, with
// cross-attention added to the last decoder block. Shapes: B rows, T tokens, H heads, hd = width of
// a head, r = rotary_dim. Pure functions of their arguments; weights are not copied.

// The checkpoints keep the heads in this many groups, one per device of their first training.
inline constexpr int64_t kGroups = 4;

// Where the weights of the decoder stand, and those of its last block's cross-attention.
inline constexpr char kDecoderStack[] = "decoder.transformer.";
std::string CrossPrefix(const Codet5pConfig& config);

// What rotary embedding needs: cosines and sines of position / 10000^(2i/r), i = 0..r/2-1.
struct Rotary {
  at::Tensor cosine, sine;  // [positions, r/2] float32

  static Rotary Table(int64_t positions, int64_t rotary_dim, const at::Tensor& like);
  // The rows 0..length-1 as [1, 1, length, r/2].
  Rotary First(int64_t length) const;
  // The rows at positions [B, P] as [B, 1, P, r/2].
  Rotary At(const at::Tensor& positions) const;
};

// x [B, H, T, hd], `table` broadcastable to [B, H, T, r/2]: rotates channel pairs (2i, 2i+1) of the
// first r channels ("rotate every two") in float32; the dtype of x stays.
at::Tensor Rotate(const at::Tensor& x, const Rotary& table);

// ddpt::Attend with CodeGen's scale, the root of hd.
at::Tensor Attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                  const at::Tensor& bias);

struct Norm {
  at::Tensor weight, bias;
  double epsilon;
  at::Tensor operator()(const at::Tensor& x) const;
};

// One block: out = x + attention(ln x) + mlp(ln x).
class Block {
 public:
  Block(const StateDict& weights, const std::string& prefix, const Codet5pConfig::Stack& stack);

  at::Tensor Normed(const at::Tensor& x) const { return norm_(x); }
  // Rotated queries and keys, and values, of normed [B, T, d].
  Heads Split(const at::Tensor& normed, const Rotary& rotary) const;
  // x + out_proj(attended) + mlp(normed).
  at::Tensor Join(const at::Tensor& x, const at::Tensor& normed, const at::Tensor& attended) const;

 private:
  int64_t heads_;
  Norm norm_;
  Linear qkv_, out_, inner_, outer_;
};

// Cross-attention of the last decoder block.
class CrossAttention {
 public:
  CrossAttention(const StateDict& weights, const std::string& prefix, int64_t heads);

  // Queries of normed [B, P, d] before rotation, [B, P, d].
  at::Tensor Query(const at::Tensor& normed) const;
  // Queries [B, P, d] as heads [B, H, P, hd], rotated by decoder positions.
  at::Tensor QueryHeads(const at::Tensor& query, const Rotary& rotary) const;
  // Keys, rotated by encoder positions, and values of projected encoder states [B, S, d].
  Heads Split(const at::Tensor& states, const Rotary& rotary) const;
  // attended [B, P, d] -> [B, P, d].
  at::Tensor Project(const at::Tensor& attended) const;

 private:
  int64_t heads_;
  Linear query_, qkv_, out_;
};

}  // namespace ddpt::codet5p
