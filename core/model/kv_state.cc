#include "core/model/kv_state.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

namespace ddpt {
namespace {

// Zeros (or `value`) behind what stands along `dim`, up to `size`.
at::Tensor Grown(const at::Tensor& x, int64_t dim, int64_t size, double value = 0) {
  if (x.size(dim) >= size) return x;
  std::vector<int64_t> shape = x.sizes().vec();
  shape[dim] = size - x.size(dim);
  return at::cat({x, at::full(shape, value, x.options())}, dim);
}

void GrowHeads(Heads* heads, int64_t size) {
  heads->key = Grown(heads->key, 2, size);
  heads->value = Grown(heads->value, 2, size);
}

void MakeContiguous(std::vector<Heads>* layers) {
  for (Heads& layer : *layers) {
    layer.key = layer.key.contiguous();
    layer.value = layer.value.contiguous();
  }
}

// The first `size` places of these rows.
void SelectHeads(Heads* heads, const at::Tensor& rows, int64_t size) {
  heads->key = heads->key.narrow(2, 0, size).index_select(0, rows);
  heads->value = heads->value.narrow(2, 0, size).index_select(0, rows);
}

void AppendHeads(Heads* heads, const Heads& other) {
  heads->key = at::cat({heads->key, other.key}, 0);
  heads->value = at::cat({heads->value, other.value}, 0);
}

// Row b's tokens, which stand from place n on, directly behind the prefixes[b] <= n places that its
// prefix takes.
void CloseGaps(const std::vector<int64_t>& prefixes, int64_t n, std::vector<Heads>* layers) {
  const at::Tensor& like = layers->front().key;
  const at::Tensor own =
      at::tensor(at::IntArrayRef(prefixes), at::kLong).to(like.device()).unsqueeze(1);
  const at::Tensor places = at::arange(like.size(2), own.options()).unsqueeze(0);
  const at::Tensor from =
      at::where(places < own, places, at::clamp_max(places + (n - own), like.size(2) - 1));
  const at::Tensor index = from.unsqueeze(1).unsqueeze(3).expand(like.sizes());
  for (Heads& layer : *layers) {
    layer.key = at::gather(layer.key, 2, index);
    layer.value = at::gather(layer.value, 2, index);
  }
}

// That a cache without room for `tokens` tokens grows to.
template <typename Size>
Size Capacity(Size tokens) {
  return std::max<Size>(64, 2 * tokens);
}

std::vector<int64_t> Selected(const std::vector<int64_t>& values, std::span<const int64_t> rows) {
  std::vector<int64_t> selected;
  for (const int64_t row : rows) selected.push_back(values[row]);
  return selected;
}

}  // namespace

KvState::KvState(std::shared_ptr<KvMeter> meter, std::vector<Heads> layers,
                 std::vector<Heads> cross, const at::Tensor& cross_bias,
                 std::span<const int64_t> lengths, const Prefixes::Part& prefix)
    : share_(std::move(meter)),
      layers_(std::move(layers)),
      cross_(std::move(cross)),
      cross_bias_(cross_bias.contiguous()),
      lengths_(lengths.begin(), lengths.end()),
      prefixes_(lengths.size(), 0) {
  for (std::vector<Heads>* heads : {&layers_, &cross_}) MakeContiguous(heads);
  Count();
  if (prefix.empty()) return;
  for (size_t row = 0; row < lengths_.size(); ++row) {
    prefixes_[row] = prefix.lengths[prefix.lengths.size() == 1 ? 0 : row];
    lengths_[row] += prefixes_[row];
  }
  const int64_t n = prefix.bias.size(3);
  if (std::ranges::any_of(prefixes_, [n](int64_t own) { return own < n; })) {
    CloseGaps(prefixes_, n, &layers_);
  }
}

void KvState::Select(std::span<const int64_t> rows) {
  const at::Tensor index =
      at::tensor(at::IntArrayRef(rows.data(), rows.size()), at::kLong).to(cross_bias_.device());
  lengths_ = Selected(lengths_, rows);
  prefixes_ = Selected(prefixes_, rows);
  const int64_t size = std::min(layers_[0].key.size(2), Capacity(Longest()));
  for (Heads& layer : layers_) SelectHeads(&layer, index, size);
  for (Heads& cross : cross_) SelectHeads(&cross, index, cross.key.size(2));
  cross_bias_ = cross_bias_.index_select(0, index);
  Count();
}

void KvState::Append(std::unique_ptr<DecoderState> other) {
  KvState& added = static_cast<KvState&>(*other);
  const int64_t capacity = std::max(layers_[0].key.size(2), added.layers_[0].key.size(2));
  Reserve(capacity);
  added.Reserve(capacity);
  for (size_t i = 0; i < layers_.size(); ++i) AppendHeads(&layers_[i], added.layers_[i]);

  const int64_t inputs = std::max(cross_[0].key.size(2), added.cross_[0].key.size(2));
  constexpr double kHidden = std::numeric_limits<float>::lowest();
  for (KvState* state : {this, &added}) {
    for (Heads& cross : state->cross_) GrowHeads(&cross, inputs);
    state->cross_bias_ = Grown(state->cross_bias_, 3, inputs, kHidden);
  }
  for (size_t i = 0; i < cross_.size(); ++i) AppendHeads(&cross_[i], added.cross_[i]);
  cross_bias_ = at::cat({cross_bias_, added.cross_bias_}, 0);
  lengths_.insert(lengths_.end(), added.lengths_.begin(), added.lengths_.end());
  prefixes_.insert(prefixes_.end(), added.prefixes_.begin(), added.prefixes_.end());
  Count();
}

void KvState::MakeRoom() {
  const int64_t tokens = Longest() + 1;
  if (tokens > layers_[0].key.size(2)) Reserve(Capacity(tokens));
}

KvState::Next KvState::Begin() {
  MakeRoom();
  const int64_t tokens = Longest() + 1;
  const at::Tensor rows = at::stack({at::tensor(at::IntArrayRef(lengths_), at::kLong),
                                     at::tensor(at::IntArrayRef(prefixes_), at::kLong)})
                              .to(cross_bias_.device());
  const at::Tensor places = rows[0], prefixes = rows[1];
  const at::Tensor all = at::arange(tokens, places.options());
  return {places - prefixes, places, prefixes, BiasOf(all <= places.view({-1, 1, 1, 1}))};
}

Heads KvState::Put(size_t layer, const Heads& token, const at::Tensor& places) {
  const at::Tensor rows = at::arange(places.size(0), places.options());
  Heads& heads = layers_[layer];
  const std::initializer_list<at::indexing::TensorIndex> place = {rows, at::indexing::Slice(),
                                                                  places};
  heads.key.index_put_(place, token.key.squeeze(2));
  heads.value.index_put_(place, token.value.squeeze(2));
  const int64_t tokens = Longest() + 1;
  return {at::Tensor(), heads.key.narrow(2, 0, tokens), heads.value.narrow(2, 0, tokens)};
}

void KvState::End() {
  for (int64_t& length : lengths_) ++length;
}

int64_t KvState::Longest() const { return *std::max_element(lengths_.begin(), lengths_.end()); }

void KvState::Reserve(int64_t tokens) {
  for (Heads& layer : layers_) GrowHeads(&layer, tokens);
  Count();
}

void KvState::Count() {
  size_t bytes = 0;
  for (const std::vector<Heads>* heads : {&layers_, &cross_}) {
    for (const Heads& each : *heads) bytes += each.key.nbytes() + each.value.nbytes();
  }
  share_.Set(bytes);
}

size_t KvState::BytesOf(const ModelGeometry& geometry, std::span<const KvNeed> needs) {
  const auto element = geometry.dtype == ModelDtype::kFloat32 ? sizeof(float) : sizeof(uint16_t);
  size_t rows = 0, past = 0, cross = 0;
  for (const KvNeed& need : needs) {
    rows += need.rows;
    past = std::max(past, Capacity(need.past));
    cross = std::max(cross, need.cross);
  }
  return rows * element *
         (past * static_cast<size_t>(geometry.decoder_self.size()) +
          cross * static_cast<size_t>(geometry.cross.size()));
}

}  // namespace ddpt
