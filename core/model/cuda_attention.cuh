#pragma once

#include "core/model/cuda_common.cuh"
#include "core/model/cuda_kernels.h"

// Attention of one token (inside of cuda_kernels.cu).
namespace ddpt::cuda {
namespace {

constexpr int kGroups = 4;  // of heads, as codet5p::kGroups

// Floats of shared memory: a query, the scores, and what threads found.
__host__ __device__ int ScoresRoom(int longest) { return (longest + 3) / 4 * 4; }
template <typename T>
size_t SharedBytes(int longest, int head_width) {
  return sizeof(float) * (head_width + ScoresRoom(longest) + kThreads * kOfPiece<T>);
}

// Where a head stands in one of `parts` parts that a product gives.
__device__ int PartOf(const Attention& attention, int head, int part, int parts) {
  const int heads = attention.heads / kGroups;
  return ((head / heads * parts + part) * heads + head % heads) * attention.head_width;
}

// Channel `i` of a head, rotated: pairs (2i, 2i + 1) of the first channels.
template <typename T>
__device__ float Rotated(const Attention& attention, const T* head, int i, int position) {
  const float x = Float(head[i]);
  if (i >= 2 * attention.pairs) return x;
  const float other = Float(head[i ^ 1]);
  const size_t at = static_cast<size_t>(position) * attention.pairs + i / 2;
  const float cosine = attention.cosine[at], sine = attention.sine[at];
  return i % 2 == 0 ? x * cosine - other * sine : x * cosine + other * sine;
}

// One head of one row, the work of a block.
template <typename T>
struct HeadWork {
  __device__ HeadWork(const Attention& attention, int unit, float* shared)
      : attention(attention),
        row(unit / attention.heads),
        head(unit % attention.heads),
        width(attention.head_width),
        place(attention.places[row]),
        length(attention.own ? place + 1 : attention.longest),
        keys(static_cast<T*>(attention.keys) + At(attention.capacity)),
        values(static_cast<T*>(attention.values) + At(attention.capacity)),
        query(shared),
        scores(query + width),
        found(scores + ScoresRoom(attention.longest)) {}

  // Where it stands in [rows, heads, tokens, width].
  __device__ size_t At(int tokens) const {
    return (static_cast<size_t>(row) * attention.heads + head) * tokens * width;
  }

  const Attention& attention;
  const int row, head, width;
  const int place, length;
  T *const keys, *const values;
  float* const query;   // [width]
  float* const scores;  // [length]
  float* const found;
};

// The query, times the scores' factor, and the token's own key and value.
template <typename T>
__device__ void Take(const HeadWork<T>& work) {
  const Attention& attention = work.attention;
  const int parts = attention.own ? 3 : 1, position = attention.positions[work.row];
  const T* const product = static_cast<const T*>(attention.product) +
                           static_cast<size_t>(work.row) * parts * attention.heads * work.width;
  const auto of = [&](int part) { return product + PartOf(attention, work.head, part, parts); };
  const float scale = rsqrtf(static_cast<float>(work.width));
  for (int i = threadIdx.x; i < work.width; i += kThreads) {
    work.query[i] = scale * Rotated(attention, of(0), i, position);
    if (!attention.own) continue;
    const size_t at = static_cast<size_t>(work.place) * work.width + i;
    work.keys[at] = As<T>(Rotated(attention, of(2), i, position));
    work.values[at] = of(1)[i];
  }
  __syncthreads();
}

// The scores; the largest of those that this thread has seen.
template <typename T>
__device__ float Score(const HeadWork<T>& work) {
  constexpr int kTogether = 8;  // threads that make a score
  const Attention& attention = work.attention;
  const int pieces = work.width / kOfPiece<T>, mine = threadIdx.x % kTogether;
  float largest = -INFINITY;
#pragma unroll 4
  for (int begin = 0; begin < work.length; begin += kThreads / kTogether) {
    const int token = begin + static_cast<int>(threadIdx.x) / kTogether;
    // Beyond the last token: the last one again.
    const T* const key = work.keys + static_cast<size_t>(min(token, work.length - 1)) * work.width;
    float score = 0;
    for (int piece = mine; piece < pieces; piece += kTogether) {
      float of_key[kOfPiece<T>];
      Unpack<T>(Piece(key + piece * kOfPiece<T>), of_key);
#pragma unroll
      for (int i = 0; i < kOfPiece<T>; ++i) {
        score = __fmaf_rn(work.query[piece * kOfPiece<T> + i], of_key[i], score);
      }
    }
#pragma unroll
    for (int other = kTogether / 2; other > 0; other /= 2) {
      score += __shfl_xor_sync(kAll, score, other);
    }
    if (token >= work.length) continue;
    if (attention.bias != nullptr) {
      score += attention.bias[static_cast<size_t>(work.row) * attention.capacity + token];
    }
    if (mine == 0) work.scores[token] = score;
    largest = fmaxf(largest, score);
  }
  return largest;
}

// Makes weights of the scores; their sum.
template <typename T>
__device__ float Soften(const HeadWork<T>& work, float largest) {
  __shared__ float of_warps[kWarps];
  const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  largest = MaxOfWarp(largest);
  if (lane == 0) of_warps[warp] = largest;
  __syncthreads();
  largest = MaxOfWarp(of_warps[lane % kWarps]);
  __syncthreads();
  float sum = 0;
  for (int token = threadIdx.x; token < work.length; token += kThreads) {
    const float weight = expf(work.scores[token] - largest);
    work.scores[token] = weight;
    sum += weight;
  }
  sum = SumOfWarp(sum);
  if (lane == 0) of_warps[warp] = sum;
  __syncthreads();
  sum = 0;
#pragma unroll
  for (const float part : of_warps) sum += part;
  return sum;
}

// The values by their weights. A thread has a piece of those of every so manyth token.
template <typename T>
__device__ void Gather(const HeadWork<T>& work, float sum) {
  const int width = work.width, pieces = width / kOfPiece<T>;
  const int slots = min(kThreads / pieces, kWarp);
  const int slot = static_cast<int>(threadIdx.x) / pieces;
  const int first = static_cast<int>(threadIdx.x) % pieces * kOfPiece<T>;
  if (slot < slots) {
    float mine[kOfPiece<T>] = {};
#pragma unroll 4
    for (int token = slot; token < work.length; token += slots) {
      float of_value[kOfPiece<T>];
      Unpack<T>(Piece(work.values + static_cast<size_t>(token) * width + first), of_value);
#pragma unroll
      for (int i = 0; i < kOfPiece<T>; ++i) {
        mine[i] = __fmaf_rn(work.scores[token], of_value[i], mine[i]);
      }
    }
#pragma unroll
    for (int i = 0; i < kOfPiece<T>; ++i) work.found[slot * width + first + i] = mine[i];
  }
  __syncthreads();
  T* const out = static_cast<T*>(work.attention.out) + work.At(1);
  for (int i = threadIdx.x; i < width; i += kThreads) {
    float total = 0;
    for (int of_slot = 0; of_slot < slots; ++of_slot) total += work.found[of_slot * width + i];
    out[i] = As<T>(total / sum);
  }
}

// The work of block `unit`, of rows * heads.
template <typename T>
__device__ void AttendUnit(const Attention& attention, int unit, float* shared) {
  const HeadWork<T> work(attention, unit, shared);
  // Places are older than the kernel before, and so is all that they count.
  const int before = attention.own ? work.place : work.length;
  Bring(work.keys, static_cast<size_t>(before) * work.width * sizeof(T));
  Bring(work.values, static_cast<size_t>(before) * work.width * sizeof(T));
  LetNextBegin();
  WaitForInputs();
  Take(work);
  Gather(work, Soften(work, Score(work)));
  __syncthreads();
  if (threadIdx.x == 0) Announce(attention.attended);
}

}  // namespace
}  // namespace ddpt::cuda
