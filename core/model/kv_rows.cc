#include "core/model/kv_rows.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "core/base/math_inline.h"
#include "core/model/decoder_step.h"

namespace ddpt {
namespace {

template <typename Element>
Element Kept(float x) {
  if constexpr (sizeof(Element) == sizeof(float)) return x;
  return static_cast<Element>(inlined::BfloatBits(x) >> 16);
}

template <typename Element>
void Write(char* keys, char* values, size_t place, size_t width, size_t padded, const float* key,
           const float* value) {
  auto* const to_keys = reinterpret_cast<Element*>(keys) + place;
  auto* const to_values = reinterpret_cast<Element*>(values) + place * padded;
  for (size_t c = 0; c < width; ++c) to_keys[c * kBlockTokens] = Kept<Element>(key[c]);
  for (size_t c = 0; c < width; ++c) to_values[c] = Kept<Element>(value[c]);
}

// Appends row `row` of keys and values [B or 1, H, S, hd] at places `from`.
void Fill(const KvLayout& layout, const std::vector<Heads>& layers, int64_t row,
          const std::vector<int64_t>& from, KvSequence* sequence) {
  for (size_t i = 0; i < from.size(); ++i) sequence->Grow(layout);
  for (size_t layer = 0; layer < layout.layers; ++layer) {
    const auto of_row = [row](const at::Tensor& x) {
      return x[x.size(0) == 1 ? 0 : row].detach().to(at::kFloat).contiguous();
    };
    const at::Tensor key = of_row(layers[layer].key), value = of_row(layers[layer].value);
    const auto* const keys = key.const_data_ptr<float>();
    const auto* const values = value.const_data_ptr<float>();
    const auto width = static_cast<int64_t>(layout.head_width);
    for (size_t head = 0; head < layout.heads; ++head) {
      for (size_t i = 0; i < from.size(); ++i) {
        const int64_t at = (static_cast<int64_t>(head) * key.size(1) + from[i]) * width;
        sequence->Put(layout, i, layer, head, keys + at, values + at);
      }
    }
  }
}

// 0 .. count - 1, then `more` from `first` on.
std::vector<int64_t> Places(int64_t count, int64_t first, int64_t more) {
  std::vector<int64_t> places;
  for (int64_t i = 0; i < count; ++i) places.push_back(i);
  for (int64_t i = 0; i < more; ++i) places.push_back(first + i);
  return places;
}

std::vector<int64_t> Shown(const at::Tensor& bias) {  // [S]
  const at::Tensor values = bias.contiguous();
  std::vector<int64_t> places;
  for (int64_t i = 0; i < values.numel(); ++i) {
    if (values.const_data_ptr<float>()[i] == 0) places.push_back(i);
  }
  return places;
}

}  // namespace

KvLayout::KvLayout(const ModelGeometry::Attention& attention, ModelDtype dtype)
    : layers(static_cast<size_t>(attention.layers)),
      heads(static_cast<size_t>(attention.heads)),
      head_width(static_cast<size_t>(attention.head_width)),
      bfloat16(dtype != ModelDtype::kFloat32) {}

void KvSequence::Grow(const KvLayout& layout) {
  const size_t bytes = layout.block_bytes();
  if (length_ % kBlockTokens == 0) {
    blocks_.push_back(std::make_shared<Block>(bytes, meter_));
  } else if (blocks_.back().use_count() > 1) {
    auto own = std::make_shared<Block>(bytes, meter_);
    std::copy_n(blocks_.back()->data(), bytes, own->data());
    blocks_.back() = std::move(own);
  }
  ++length_;
}

void KvSequence::Put(const KvLayout& layout, size_t token, size_t layer, size_t head,
                     const float* key, const float* value) {
  char* const block = blocks_[token / kBlockTokens]->data();
  const auto write = layout.bfloat16 ? Write<uint16_t> : Write<float>;
  write(block + layout.keys_at(layer, head), block + layout.values_at(layer, head),
        token % kBlockTokens, layout.head_width, PaddedHead(layout.head_width), key, value);
}

void KvSequence::List(const KvLayout& layout, size_t layer, size_t head,
                      std::vector<const void*>& keys, std::vector<const void*>& values) const {
  keys.clear();
  values.clear();
  for (const auto& block : blocks_) {
    const char* const data = block->data();
    keys.push_back(data + layout.keys_at(layer, head));
    values.push_back(data + layout.values_at(layer, head));
  }
}

KvRows::KvRows(const ModelGeometry& geometry, std::shared_ptr<KvMeter> meter, std::vector<Row> rows,
               const std::vector<Heads>& cross, const at::Tensor& cross_bias)
    : past_layout_(geometry.decoder_self, geometry.dtype),
      cross_layout_(geometry.cross, geometry.dtype),
      rows_(std::move(rows)),
      buffers_(std::make_unique<Buffers>()) {
  for (size_t i = 0; i < rows_.size(); ++i) {
    const auto row = static_cast<int64_t>(i);
    auto sequence = std::make_shared<KvSequence>(meter);
    const at::Tensor bias = cross_bias[cross_bias.size(0) == 1 ? 0 : row].flatten();
    Fill(cross_layout_, cross, row, Shown(bias), sequence.get());
    rows_[i].cross = std::move(sequence);
  }
}

std::vector<KvRows::Row> KvRows::PastOf(const ModelGeometry& geometry,
                                        const std::shared_ptr<KvMeter>& meter,
                                        const std::vector<Heads>& layers,
                                        std::span<const int64_t> lengths,
                                        const Prefixes::Part& prefix) {
  const KvLayout layout(geometry.decoder_self, geometry.dtype);
  const int64_t n = prefix.empty() ? 0 : prefix.bias.size(3);
  std::vector<Row> rows;
  for (size_t i = 0; i < lengths.size(); ++i) {
    const int64_t own = n == 0 ? 0 : prefix.lengths[prefix.lengths.size() == 1 ? 0 : i];
    Row& row = rows.emplace_back(Row{KvSequence(meter), static_cast<size_t>(own), nullptr});
    Fill(layout, layers, static_cast<int64_t>(i), Places(own, n, lengths[i]), &row.past);
  }
  return rows;
}

KvRows::~KvRows() = default;

size_t KvRows::BytesOf(const ModelGeometry& geometry, std::span<const KvNeed> needs) {
  const KvLayout past(geometry.decoder_self, geometry.dtype);
  const KvLayout cross(geometry.cross, geometry.dtype);
  size_t bytes = 0;
  for (const KvNeed& need : needs) {
    bytes += need.rows * past.bytes_of(need.past) + cross.bytes_of(need.cross);
  }
  return bytes;
}

void KvRows::Select(std::span<const int64_t> rows) {
  std::vector<Row> selected;
  for (const int64_t row : rows) selected.push_back(rows_[static_cast<size_t>(row)]);
  rows_ = std::move(selected);
}

void KvRows::Append(std::unique_ptr<DecoderState> other) {
  auto& added = static_cast<KvRows&>(*other).rows_;
  std::move(added.begin(), added.end(), std::back_inserter(rows_));
}

void KvRows::Grow() {
  for (Row& row : rows_) row.past.Grow(past_layout_);
}

size_t KvRows::longest() const {
  size_t longest = 0;
  for (const Row& row : rows_) {
    longest = std::max({longest, row.past.length(), row.cross->length()});
  }
  return longest;
}

}  // namespace ddpt
