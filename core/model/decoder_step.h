#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/base/aligned_floats.h"
#include "core/base/team.h"
#include "core/model/kernels.h"
#include "core/model/kv_rows.h"

namespace ddpt {

// A weight in float32; the same memory where it is float32 already.
at::Tensor FloatsOf(const at::Tensor& weight);
// Row `id` of an embedding [vocabulary, width], float32 or bfloat16, as floats.
void EmbedToken(const at::Tensor& embedding, int64_t id, float* x);

// Rows of floats that a product reads, made ready for it.
class PreparedBuffer {
 public:
  // Keeps the memory where it suffices.
  void Fit(size_t rows, size_t inputs);
  std::byte* row(size_t row) { return reinterpret_cast<std::byte*>(data_.data()) + row * stride_; }
  float* scale(size_t row) { return scales_.data() + row; }
  PreparedRows view(size_t rows) const {
    return {reinterpret_cast<const std::byte*>(data_.data()), scales_.data(), rows, stride_};
  }

 private:
  AlignedFloats data_, scales_;
  size_t stride_ = 0;
};

// How wide the numbers of a step are.
struct StepWidths {
  size_t model = 0;      // of the residual stream
  size_t attention = 0;  // all heads together, times what one product makes of them
  size_t inner = 0;      // of the feed-forward part
  size_t vocabulary = 0;
};

// The numbers of a step on their way from layer to layer, [rows, width] each. They grow with the
// rows; a step like the last allocates nothing.
struct KvRows::Buffers {
  void Fit(const StepWidths& widths, size_t rows, size_t tokens);

  struct OfMember {
    AlignedFloats row;                      // as wide as the widest
    AlignedFloats scores;                   // [tokens]
    AlignedFloats bias;                     // [tokens]
    AlignedFloats query, found;             // [PaddedHead]
    std::vector<const void*> keys, values;  // of each block
  };

  StepWidths widths;
  size_t rows = 0, tokens = 0;
  AlignedFloats x;  // the residual stream
  AlignedFloats query, key, value, attended;
  AlignedFloats inner, gate;
  PreparedBuffer prepared, prepared_inner;
  at::Tensor logits;  // [rows, vocabulary]
  std::vector<OfMember> members;
};

// What one member of a Team does of a step: all members make the same calls, each of which does
// this member's share. Sync() stands between a call that writes and one that reads.
class StepMember {
 public:
  StepMember(const ModelKernels& kernels, Team::Member& member, KvRows::Buffers& buffers)
      : kernels(kernels), own(buffers.members[member.part()]), member_(member) {}

  void Sync() { member_.Sync(); }

  // f(i) for i of 0..count-1.
  template <typename F>
  void ForEach(size_t count, const F& f) {
    const size_t parts = member_.parts(), part = member_.part();
    for (size_t i = count * part / parts; i < count * (part + 1) / parts; ++i) f(i);
  }
  // out [rows, outputs] = W in + bias, or that more.
  void Multiply(const MatrixView& matrix, const PreparedRows& in, float* out, bool add = false) {
    kernels.multiply(matrix, Share(matrix.outputs), in, out, matrix.outputs, add);
  }
  // f(first, count) for the runs of elements of [rows, outputs] that this member's products write.
  template <typename F>
  void ForOutputs(size_t rows, size_t outputs, const F& f) {
    const OutputRange range = Share(outputs);
    for (size_t row = 0; row < rows; ++row) {
      f(row * outputs + range.begin, range.end - range.begin);
    }
  }
  // What the query finds in a sequence of a row, `out` [head_width].
  void Attend(const KvLayout& layout, const KvSequence& there, size_t layer, size_t head,
              const float* query, float scale, const float* bias, float* out);

  const ModelKernels& kernels;
  KvRows::Buffers::OfMember& own;

 private:
  OutputRange Share(size_t outputs) const;

  Team::Member& member_;
};

}  // namespace ddpt
