#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "core/base/aligned_floats.h"
#include "core/model/attention.h"
#include "core/model/geometry.h"
#include "core/model/kernels.h"
#include "core/model/kv_memory.h"
#include "core/model/language_model.h"
#include "core/model/prefixes.h"

namespace ddpt {

// Where the keys and values of kBlockTokens tokens in all layers of a kind stand in one block of
// memory.
struct KvLayout {
  KvLayout(const ModelGeometry::Attention& attention, ModelDtype dtype);

  size_t layers, heads;
  size_t head_width;  // kept as PaddedHead of it
  bool bfloat16;      // else float

  size_t side_bytes() const {
    return kBlockTokens * PaddedHead(head_width) * (bfloat16 ? sizeof(uint16_t) : sizeof(float));
  }
  size_t block_bytes() const { return layers * heads * 2 * side_bytes(); }
  size_t keys_at(size_t layer, size_t head) const {
    return (layer * heads + head) * 2 * side_bytes();
  }
  size_t values_at(size_t layer, size_t head) const { return keys_at(layer, head) + side_bytes(); }
  // Of a sequence that shares no block.
  size_t bytes_of(size_t tokens) const {
    return (tokens + kBlockTokens - 1) / kBlockTokens * block_bytes();
  }
};

// The keys and values of a sequence, in blocks that copies of the sequence share: one that is
// written to while others hold it is copied before.
class KvSequence {
 public:
  explicit KvSequence(std::shared_ptr<KvMeter> meter) : meter_(std::move(meter)) {}

  size_t length() const { return length_; }
  // Of its blocks, shared or not.
  size_t bytes() const { return blocks_.empty() ? 0 : blocks_.size() * blocks_[0]->bytes(); }
  // Makes room for one token more, all zeros.
  void Grow(const KvLayout& layout);
  // Of a token that there is room for; key and value are [head_width].
  void Put(const KvLayout& layout, size_t token, size_t layer, size_t head, const float* key,
           const float* value);
  // Pointers to the keys and the values of each block, for AttentionView.
  void List(const KvLayout& layout, size_t layer, size_t head, std::vector<const void*>& keys,
            std::vector<const void*>& values) const;

 private:
  struct Block {
    Block(size_t bytes, std::shared_ptr<KvMeter> meter)
        : share(std::move(meter)), floats(bytes / sizeof(float)) {
      share.Set(bytes);
    }
    size_t bytes() const { return floats.size() * sizeof(float); }
    char* data() { return reinterpret_cast<char*>(floats.data()); }

    KvShare share;
    AlignedFloats floats;
  };

  std::shared_ptr<KvMeter> meter_;
  std::vector<std::shared_ptr<Block>> blocks_;
  size_t length_ = 0;
};

// What decoding on a processor remembers (ModelKernels): of each row its past, of which the first
// places are its prefix's (core/model/prefixes.h), and the keys and values of its encoder. Rows
// come, go and repeat without a copy.
class KvRows : public DecoderState {
 public:
  struct Row {
    KvSequence past;
    size_t prefix = 0;
    std::shared_ptr<const KvSequence> cross;
  };

  // `rows` without the encoder's part: of `cross` keys and values [B, H, S, hd] what `cross_bias`
  // [B, 1, 1, S] shows.
  KvRows(const ModelGeometry& geometry, std::shared_ptr<KvMeter> meter, std::vector<Row> rows,
         const std::vector<Heads>& cross, const at::Tensor& cross_bias);
  ~KvRows() override;

  // Such rows, as KvState's: `layers` keys and values [B, H, n + T, hd] of `prefix`, n long, and of
  // padded tokens, of which row b has lengths[b].
  static std::vector<Row> PastOf(const ModelGeometry& geometry,
                                 const std::shared_ptr<KvMeter>& meter,
                                 const std::vector<Heads>& layers, std::span<const int64_t> lengths,
                                 const Prefixes::Part& prefix);
  // What rows hold at most.
  static size_t BytesOf(const ModelGeometry& geometry, std::span<const KvNeed> needs);

  int64_t rows() const override { return static_cast<int64_t>(rows_.size()); }
  void Select(std::span<const int64_t> rows) override;
  void Append(std::unique_ptr<DecoderState> other) override;

  // One token more a row, at the last place.
  void Grow();
  Row& row(size_t index) { return rows_[index]; }
  size_t longest() const;

  const KvLayout& past_layout() const { return past_layout_; }
  const KvLayout& cross_layout() const { return cross_layout_; }
  // Memory of a step, kept for the next one.
  struct Buffers;
  Buffers& buffers() { return *buffers_; }

 private:
  KvLayout past_layout_, cross_layout_;
  std::vector<Row> rows_;
  std::unique_ptr<Buffers> buffers_;
};

}  // namespace ddpt
