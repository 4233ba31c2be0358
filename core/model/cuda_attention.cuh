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

// One head of one row, the work of block `unit`.
template <typename T>
__device__ void AttendUnit(const Attention& attention, int unit, float* shared) {
  constexpr int kTogether = 8;  // threads that make a score
  __shared__ float of_warps[kWarps];
  const int row = unit / attention.heads, head = unit % attention.heads;
  const int width = attention.head_width, parts = attention.own ? 3 : 1;
  const int pieces = width / kOfPiece<T>;
  const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  const size_t cache =
      (static_cast<size_t>(row) * attention.heads + head) * attention.capacity * width;
  T* const keys = static_cast<T*>(attention.keys) + cache;
  T* const values = static_cast<T*>(attention.values) + cache;
  // Places are older than the kernel before, and so is all that they count.
  const int place = attention.places[row], position = attention.positions[row];
  const int length = attention.own ? place + 1 : attention.longest;
  const size_t before = static_cast<size_t>(attention.own ? place : length) * width * sizeof(T);
  Bring(keys, before);
  Bring(values, before);
  LetNextBegin();
  WaitForInputs();
  const T* const product = static_cast<const T*>(attention.product) +
                           static_cast<size_t>(row) * parts * attention.heads * width;
  float* const query = shared;
  float* const scores = query + width;
  float* const found = scores + ScoresRoom(attention.longest);

  const float scale = rsqrtf(static_cast<float>(width));
  for (int i = threadIdx.x; i < width; i += kThreads) {
    query[i] = scale * Rotated(attention, product + PartOf(attention, head, 0, parts), i, position);
    if (!attention.own) continue;
    const size_t at = static_cast<size_t>(place) * width + i;
    keys[at] = As<T>(Rotated(attention, product + PartOf(attention, head, 2, parts), i, position));
    values[at] = product[PartOf(attention, head, 1, parts) + i];
  }
  __syncthreads();

  float largest = -INFINITY;
#pragma unroll 4
  for (int begin = 0; begin < length; begin += kThreads / kTogether) {
    const int token = begin + static_cast<int>(threadIdx.x) / kTogether;
    // Beyond the last token: the last one again.
    const T* const key = keys + static_cast<size_t>(min(token, length - 1)) * width;
    float score = 0;
    for (int piece = lane % kTogether; piece < pieces; piece += kTogether) {
      float of_key[kOfPiece<T>];
      Unpack<T>(Piece(key + piece * kOfPiece<T>), of_key);
#pragma unroll
      for (int i = 0; i < kOfPiece<T>; ++i) {
        score = __fmaf_rn(query[piece * kOfPiece<T> + i], of_key[i], score);
      }
    }
#pragma unroll
    for (int other = kTogether / 2; other > 0; other /= 2) {
      score += __shfl_xor_sync(kAll, score, other);
    }
    if (token >= length) continue;
    if (attention.bias != nullptr) {
      score += attention.bias[static_cast<size_t>(row) * attention.capacity + token];
    }
    if (lane % kTogether == 0) scores[token] = score;
    largest = fmaxf(largest, score);
  }
  largest = MaxOfWarp(largest);
  if (lane == 0) of_warps[warp] = largest;
  __syncthreads();
  largest = MaxOfWarp(of_warps[lane % kWarps]);
  __syncthreads();
  float sum = 0;
  for (int token = threadIdx.x; token < length; token += kThreads) {
    const float weight = expf(scores[token] - largest);
    scores[token] = weight;
    sum += weight;
  }
  sum = SumOfWarp(sum);
  if (lane == 0) of_warps[warp] = sum;
  __syncthreads();
  sum = 0;
#pragma unroll
  for (const float part : of_warps) sum += part;

  // A thread has a piece of the values of every so manyth token.
  const int slots = min(kThreads / pieces, kWarp);
  const int slot = static_cast<int>(threadIdx.x) / pieces;
  const int piece = static_cast<int>(threadIdx.x) % pieces;
  if (slot < slots) {
    float mine[kOfPiece<T>] = {};
#pragma unroll 4
    for (int token = slot; token < length; token += slots) {
      float of_value[kOfPiece<T>];
      Unpack<T>(Piece(values + static_cast<size_t>(token) * width + piece * kOfPiece<T>), of_value);
#pragma unroll
      for (int i = 0; i < kOfPiece<T>; ++i) {
        mine[i] = __fmaf_rn(scores[token], of_value[i], mine[i]);
      }
    }
#pragma unroll
    for (int i = 0; i < kOfPiece<T>; ++i) found[slot * width + piece * kOfPiece<T> + i] = mine[i];
  }
  __syncthreads();
  T* const out =
      static_cast<T*>(attention.out) + (static_cast<size_t>(row) * attention.heads + head) * width;
  for (int i = threadIdx.x; i < width; i += kThreads) {
    float total = 0;
    for (int of_slot = 0; of_slot < slots; ++of_slot) total += found[of_slot * width + i];
    out[i] = As<T>(total / sum);
  }
  __syncthreads();
  if (threadIdx.x == 0) Announce(attention.attended);
}

}  // namespace
}  // namespace ddpt::cuda
