#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "core/model/attention.h"
#include "core/model/linear.h"
#include "core/model/state_dict.h"
#include "core/model/t5_config.h"

namespace ddpt::t5 {

// The parts of a T5 model (inside of t5_model.cc). Shapes: B rows, T or S tokens, d the width, H
// heads, hd = width of a head. Pure functions of their arguments; weights are not copied.

// x / root mean square of x, times the weight; no mean is taken off, no bias added.
struct Norm {
  at::Tensor weight;
  double epsilon;
  at::Tensor operator()(const at::Tensor& x) const;
};

// What is added to the scores of self-attention for the distance between two tokens, the same in
// all layers of a stack. Distances fall in buckets, exact ones for near tokens and logarithmic ones
// beyond; a decoder's tell only how far back a token lies.
class RelativeBias {
 public:
  RelativeBias(const at::Tensor& weight, const T5Config& config, bool bidirectional);

  // Of `tokens` tokens to each other, [1, H, T, T] float32.
  at::Tensor Square(int64_t tokens) const;
  // Of tokens at places [B] to those at 0..past-1, [B, H, 1, past]; 0 to row b's first prefixes[b]
  // places.
  at::Tensor Rows(const at::Tensor& places, const at::Tensor& prefixes, int64_t past) const;

  // [distances, H] float32, from max_positions - 1 before to as many behind.
  const at::Tensor& table() const { return table_; }

 private:
  int64_t middle_;    // the row of distance 0
  at::Tensor table_;  // [distances, H] float32
};

// Self-attention or cross-attention; its scores are not scaled.
class Attention {
 public:
  Attention(const StateDict& weights, const std::string& prefix, int64_t heads);

  // Queries of normed [B, T, d], [B, H, T, hd].
  at::Tensor Query(const at::Tensor& normed) const { return Split(normed, query_); }
  // Keys and values of x [B, S, d].
  Heads KeysValues(const at::Tensor& x) const;
  // What the queries find there, projected: [B, T, d]. `bias` as in Attend.
  at::Tensor Look(const at::Tensor& query, const Heads& there, const at::Tensor& bias) const;

 private:
  at::Tensor Split(const at::Tensor& x, const Linear& map) const;

  int64_t heads_;
  Linear query_, key_, value_, out_;
};

class FeedForward {
 public:
  FeedForward(const StateDict& weights, const std::string& prefix, bool gated);
  at::Tensor operator()(const at::Tensor& normed) const;

 private:
  Linear in_, gate_, out_;  // gate_ undefined where there is none
};

// x + attention(norm x), then + feed_forward(norm x); a decoder's with x + cross(norm x) between.
struct Block {
  Block(const StateDict& weights, const std::string& prefix, const T5Config& config, bool decoder);

  Norm self_norm;
  Attention self;
  Norm cross_norm;  // these two stand for nothing in an encoder
  Attention cross;
  Norm forward_norm;
  FeedForward forward;
};

}  // namespace ddpt::t5
