#pragma once

#include <cfloat>

#include "core/model/cuda_common.cuh"
#include "core/model/cuda_kernels.h"

// Attention of one token (inside of cuda_kernels.cu): a block has a head of a row, each of its
// warps every so manyth slot of the past's keys and values.
namespace ddpt::cuda {
namespace {

constexpr int kGroups = 4;        // of heads, as codet5p::kGroups
constexpr int kSlots = 2;         // of keys and values that a warp has asked for
constexpr int kSlotBytes = 2816;  // with Present as much as fits beside two other blocks
constexpr int kPastBytes = kWarps * kSlots * kSlotBytes;
constexpr int kTogether = 8;  // lanes that make a score
static_assert(2 * kMaxHeadWidth * sizeof(float) <= kSlotBytes);
static_assert((kMaxHeadWidth + 2) * kWarps * sizeof(float) <= kPastBytes);

// Where a head stands in one of `parts` parts that a product gives.
__device__ int PartOf(const Attention& attention, int head, int part, int parts) {
  const int heads = attention.heads / kGroups;
  return ((head / heads * parts + part) * heads + head % heads) * attention.head_width;
}

// What a block knows of its head's present token.
template <typename T>
struct Present {
  float query[kMaxHeadWidth];  // times the scores' factor
  T key[kMaxHeadWidth], value[kMaxHeadWidth];
  float turns[2][kMaxHeadWidth / 2];  // cosines and sines of its position
};

// Shared memory of a block: the past's slots, and this.
template <typename T>
constexpr int kAttentionBytes = kPastBytes + sizeof(Present<T>);

// Channel `i` of a head, rotated: pairs (2i, 2i + 1) of the first channels.
template <typename T>
__device__ float Rotated(const Present<T>& present, int pairs, const T* head, int i) {
  const float x = Float(head[i]);
  if (i >= 2 * pairs) return x;
  const float other = Float(head[i ^ 1]);
  const float cosine = present.turns[0][i / 2], sine = present.turns[1][i / 2];
  return i % 2 == 0 ? x * cosine - other * sine : x * cosine + other * sine;
}

// Takes the query, and the token's own key and value, from the product. A barrier of the block.
template <typename T>
__device__ void Take(const Attention& attention, int row, int head, Present<T>& present) {
  const int width = attention.head_width, parts = attention.own ? 3 : 1;
  const T* const product = static_cast<const T*>(attention.product) +
                           static_cast<size_t>(row) * parts * attention.heads * width;
  const auto of = [&](int part) { return product + PartOf(attention, head, part, parts); };
  const float scale = rsqrtf(static_cast<float>(width));
  const size_t at = ((static_cast<size_t>(row) * attention.heads + head) * attention.capacity +
                     attention.places[row]) *
                    width;
  for (int i = threadIdx.x; i < width; i += kThreads) {
    present.query[i] = scale * Rotated(present, attention.pairs, of(0), i);
    if (!attention.own) continue;
    const T key = As<T>(Rotated(present, attention.pairs, of(2), i)), value = of(1)[i];
    static_cast<T*>(attention.keys)[at + i] = present.key[i] = key;
    static_cast<T*>(attention.values)[at + i] = present.value[i] = value;
  }
  __syncthreads();
}

// What a warp has found of its tokens: values by weights that are right up to a factor which a
// larger score changes. A lane has every 32nd pair of channels.
template <typename T>
class Found {
 public:
  __device__ Found(const Present<T>& present, int width)
      : width_(width), pieces_(width / kOfPiece<T>) {
    const int mine = threadIdx.x % kTogether;
#pragma unroll
    for (int i = 0; i < kPieces; ++i) {
#pragma unroll
      for (int k = 0; k < kOfPiece<T>; ++k) {
        const int piece = mine + i * kTogether;
        query_[i][k] = piece < pieces_ ? present.query[piece * kOfPiece<T> + k] : 0;
      }
    }
  }

  // `tokens` more, their keys and values [tokens, width] in shared memory; `bias` may be null.
  __device__ void Add(const T* keys, const T* values, int tokens, const float* bias) {
    constexpr int kAtOnce = kWarp / kTogether;
    const int lane = threadIdx.x % kWarp;
    for (int first = 0; first < tokens; first += kAtOnce) {
      const int token = first + lane / kTogether;
      const float score = Score(keys + min(token, tokens - 1) * width_);
      const float biased = bias == nullptr ? score : score + bias[min(token, tokens - 1)];
      const float mine = token < tokens ? biased : -INFINITY;
      const float largest = fmaxf(largest_, MaxOfWarp(mine));
      const float factor = expf(largest_ - largest), weight = expf(mine - largest);
      largest_ = largest;
      sum_ *= factor;
#pragma unroll
      for (auto& pair : values_) {
        pair[0] *= factor;
        pair[1] *= factor;
      }
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) {
        if (first + i >= tokens) break;
        const float of_token = __shfl_sync(kAll, weight, i * kTogether);
        sum_ += of_token;
        const T* const value = values + (first + i) * width_;
#pragma unroll
        for (int k = 0; k < kPairs; ++k) {
          const int channel = 2 * (lane + k * kWarp);
          if (channel >= width_) continue;
          values_[k][0] = __fmaf_rn(of_token, Float(value[channel]), values_[k][0]);
          values_[k][1] = __fmaf_rn(of_token, Float(value[channel + 1]), values_[k][1]);
        }
      }
    }
  }

  // [2 + kMaxHeadWidth]: the largest score, the weights' sum, the values.
  __device__ void Store(float* to) const {
    const int lane = threadIdx.x % kWarp;
    if (lane == 0) {
      to[0] = largest_;
      to[1] = sum_;
    }
#pragma unroll
    for (int k = 0; k < kPairs; ++k) {
      const int channel = 2 * (lane + k * kWarp);
      if (channel >= width_) continue;
      to[2 + channel] = values_[k][0];
      to[3 + channel] = values_[k][1];
    }
  }

 private:
  static constexpr int kPieces = kMaxHeadWidth / kOfPiece<T> / kTogether;
  static constexpr int kPairs = kMaxHeadWidth / 2 / kWarp;

  // Of kTogether lanes' token.
  __device__ float Score(const T* key) const {
    float score = 0;
#pragma unroll
    for (int i = 0; i < kPieces; ++i) {
      const int piece = static_cast<int>(threadIdx.x) % kTogether + i * kTogether;
      if (piece >= pieces_) continue;
      float of_key[kOfPiece<T>];
      Unpack<T>(Piece(key + piece * kOfPiece<T>), of_key);
#pragma unroll
      for (int k = 0; k < kOfPiece<T>; ++k) score = __fmaf_rn(query_[i][k], of_key[k], score);
    }
#pragma unroll
    for (int other = kTogether / 2; other > 0; other /= 2) {
      score += __shfl_xor_sync(kAll, score, other);
    }
    return score;
  }

  const int width_, pieces_;
  float query_[kPieces][kOfPiece<T>];
  float largest_ = -FLT_MAX, sum_ = 0;
  float values_[kPairs][2] = {};
};

// The work of block `unit`, of rows * heads.
template <typename T>
__device__ void AttendUnit(const Attention& attention, int unit, char* shared) {
  Present<T>& present = *reinterpret_cast<Present<T>*>(shared + kPastBytes);
  const int row = unit / attention.heads, head = unit % attention.heads;
  const int width = attention.head_width, row_bytes = width * static_cast<int>(sizeof(T));
  const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  // Places are older than the kernel before, and so is all that they count.
  const int length = attention.own ? attention.places[row] : attention.capacity;
  const size_t past = static_cast<size_t>(unit) * attention.capacity * width;
  const char* const keys = reinterpret_cast<const char*>(static_cast<T*>(attention.keys) + past);
  const char* const values =
      reinterpret_cast<const char*>(static_cast<T*>(attention.values) + past);

  // Slots have keys and values of `tokens` tokens.
  const int tokens = kSlotBytes / (2 * row_bytes);
  char* const mine = shared + warp * (kSlots * kSlotBytes);
  const auto ask = [&](int slot, int step) {
    const int first = (step * kWarps + warp) * tokens;
    const int bytes = min(tokens, length - first) * row_bytes;
    const auto to = static_cast<unsigned>(__cvta_generic_to_shared(mine + slot * kSlotBytes));
    const size_t from = static_cast<size_t>(first) * row_bytes;
    for (int at = lane * kPieceBytes; at < bytes; at += kWarp * kPieceBytes) {
      Fetch(to + at, keys + from + at, true);
      Fetch(to + tokens * row_bytes + at, values + from + at, true);
    }
    EndGroup();
  };
  for (int i = 0; i < kSlots; ++i) ask(i, i);
  LetNextBegin();
  const size_t turn = static_cast<size_t>(attention.positions[row]) * attention.pairs;
  for (int i = threadIdx.x; i < attention.pairs; i += kThreads) {
    present.turns[0][i] = attention.cosine[turn + i];
    present.turns[1][i] = attention.sine[turn + i];
  }
  __syncthreads();
  WaitForInputs();
  Take(attention, row, head, present);

  Found<T> found(present, width);
  for (int step = 0;; ++step) {
    const int first = (step * kWarps + warp) * tokens, slot = step % kSlots;
    if (first >= length) break;
    WaitForGroups<kSlots - 1>();
    __syncwarp();
    const T* const at = reinterpret_cast<const T*>(mine + slot * kSlotBytes);
    const float* const bias =
        attention.bias == nullptr
            ? nullptr
            : attention.bias + static_cast<size_t>(row) * attention.capacity + first;
    found.Add(at, at + tokens * width, min(tokens, length - first), bias);
    __syncwarp();
    ask(slot, step + kSlots);
  }
  if (attention.own && warp == 0) found.Add(present.key, present.value, 1, nullptr);

  __syncthreads();  // the slots have been read
  float(*const all)[2 + kMaxHeadWidth] = reinterpret_cast<float(*)[2 + kMaxHeadWidth]>(shared);
  found.Store(all[warp]);
  __syncthreads();
  float largest = -FLT_MAX, sum = 0, factors[kWarps];
  for (int i = 0; i < kWarps; ++i) largest = fmaxf(largest, all[i][0]);
#pragma unroll
  for (int i = 0; i < kWarps; ++i) {
    factors[i] = expf(all[i][0] - largest);
    sum = __fmaf_rn(factors[i], all[i][1], sum);
  }
  T* const out = static_cast<T*>(attention.out) + static_cast<size_t>(unit) * width;
  for (int i = threadIdx.x; i < width; i += kThreads) {
    float total = 0;
#pragma unroll
    for (int k = 0; k < kWarps; ++k) total = __fmaf_rn(factors[k], all[k][2 + i], total);
    out[i] = As<T>(total / sum);
  }
  __syncthreads();
  if (threadIdx.x == 0) Announce(attention.attended);
}

}  // namespace
}  // namespace ddpt::cuda
