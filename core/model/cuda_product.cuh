#pragma once

#include "core/model/cuda_common.cuh"
#include "core/model/cuda_kernels.h"

// Products of few rows with weights that are read once (inside of cuda_kernels.cu).
namespace ddpt::cuda {
namespace {

constexpr int kTile = 16;  // outputs that a block computes together
constexpr int kAhead = 4;  // steps whose weights a warp has asked for

__device__ float Gelu(float x) {
  constexpr float kRoot = 0.7978845608028654f;  // of 2 / pi
  return 0.5f * x * (1 + tanhf(kRoot * (x + 0.044715f * x * x * x)));
}

// Where a thread stands in the 16 outputs x 64 bytes that a warp multiplies in a step: it has a
// piece of the inputs of outputs `group` and `group` + 8.
struct Lane {
  __device__ Lane() : group(threadIdx.x % kWarp / 4), piece(threadIdx.x % 4) {}
  const int group, piece;
};

__device__ uint4 Stream(const char* at) {
  uint4 x;
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(x.x), "=r"(x.y), "=r"(x.z), "=r"(x.w)
               : "l"(at));
  return x;
}

template <typename T>
__device__ void MultiplyFragments(float (&sums)[4], const uint4& low, const uint4& high,
                                  const uint4& in) {
  // Every number of a piece is an input of its own, so the order in which the tensor cores take
  // them is free as long as weights and inputs agree.
  const auto step = [&](uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0,
                        uint32_t b1) {
    if constexpr (std::is_same_v<T, __nv_bfloat16>) {
      asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, "
          "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
          : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
          : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
    } else {
      asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, "
          "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
          : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
          : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
    }
  };
  step(low.x, high.x, low.y, high.y, in.x, in.y);
  step(low.z, high.z, low.w, high.w, in.z, in.w);
}

// A warp's sums of kTile outputs of kMaxRows rows.
template <typename T>
class Sums {
 public:
  // `in` points at this thread's piece of row 0.
  __device__ void Add(const uint4& low, const uint4& high, const T* in, size_t stride, int rows,
                      const Lane& lane) {
    uint4 x = {0, 0, 0, 0};
    if (lane.group < rows) x = Piece(in + lane.group * stride);
    MultiplyFragments<T>(sums_, low, high, x);
  }
  __device__ void Store(float (*to)[kMaxRows + 1], const Lane& lane) const {
    const int row = 2 * lane.piece;
    to[lane.group][row] = sums_[0];
    to[lane.group][row + 1] = sums_[1];
    to[lane.group + 8][row] = sums_[2];
    to[lane.group + 8][row + 1] = sums_[3];
  }

 private:
  float sums_[4] = {};
};

// Without tensor cores, which have no float32.
template <>
class Sums<float> {
 public:
  __device__ void Add(const uint4& low, const uint4& high, const float* in, size_t stride, int rows,
                      const Lane&) {
#pragma unroll
    for (int row = 0; row < kMaxRows; ++row) {
      if (row >= rows) continue;
      const uint4 x = Piece(in + row * stride);
      sums_[0][row] = Chain(low, x, sums_[0][row]);
      sums_[1][row] = Chain(high, x, sums_[1][row]);
    }
  }
  __device__ void Store(float (*to)[kMaxRows + 1], const Lane& lane) const {
#pragma unroll
    for (int row = 0; row < kMaxRows; ++row) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float sum = sums_[half][row];
        sum += __shfl_xor_sync(kAll, sum, 1);
        sum += __shfl_xor_sync(kAll, sum, 2);
        if (lane.piece == 0) to[lane.group + 8 * half][row] = sum;
      }
    }
  }

 private:
  static __device__ float Chain(const uint4& w, const uint4& x, float sum) {
    sum = __fmaf_rn(__uint_as_float(w.x), __uint_as_float(x.x), sum);
    sum = __fmaf_rn(__uint_as_float(w.y), __uint_as_float(x.y), sum);
    sum = __fmaf_rn(__uint_as_float(w.z), __uint_as_float(x.z), sum);
    return __fmaf_rn(__uint_as_float(w.w), __uint_as_float(x.w), sum);
  }
  float sums_[2][kMaxRows] = {};
};

// A product is cut into tiles of outputs and parts of inputs: the other map has parts as long as
// the first map, which is part 0 and begins last.
__host__ __device__ int Parts(const Product& product) {
  if (product.other.weight == nullptr) return 1;
  return 1 + (product.other.inputs + product.map.inputs - 1) / product.map.inputs;
}
__host__ __device__ int Tiles(const Product& product) {
  return (product.map.outputs + kTile - 1) / kTile;
}
__host__ __device__ int Units(const Product& product) {
  return product.rows == 0 ? 0 : Tiles(product) * Parts(product);
}

template <typename T>
__device__ void Finish(const Product& product, int row, int output, float y) {
  const auto bias = [&](const Map& map) {
    return map.bias == nullptr ? 0.0f : Float(static_cast<const T*>(map.bias)[output]);
  };
  y += bias(product.map);
  if (product.other.weight != nullptr) y += bias(product.other);
  const size_t at = static_cast<size_t>(row) * product.map.outputs + output;
  switch (product.output) {
    case Output::kElement:
      static_cast<T*>(product.out)[at] = As<T>(y);
      break;
    case Output::kGelu:
      static_cast<T*>(product.out)[at] = As<T>(Gelu(y));
      break;
    case Output::kFloat:
      static_cast<float*>(product.out)[at] = y;
      break;
    case Output::kAdd:
      static_cast<float*>(product.out)[at] += y;
      break;
  }
}

// What the first map of a product is applied to may come from blocks of the same kernel.
struct Gate {
  const unsigned* count;  // null: it does not
  unsigned all;
};

// The work of block `unit`, of Units.
template <typename T>
__device__ void MultiplyUnit(const Product& product, int unit, const Gate& gate) {
  __shared__ float shared[kWarps][kTile][kMaxRows + 1];
  __shared__ bool is_last;
  const int tiles = Tiles(product), parts = Parts(product);
  const int tile = unit % tiles, part = parts - 1 - unit / tiles;
  const bool other = part > 0;
  const int inputs = other ? product.other.inputs : product.map.inputs;
  const int first = other ? (part - 1) * product.map.inputs : 0;
  const int steps =
      min(product.map.inputs, inputs - first) * static_cast<int>(sizeof(T)) / kInputBytes;
  constexpr int kStep = kInputBytes / sizeof(T);

  const Lane lane;
  const int warp = threadIdx.x / kWarp;
  const auto weights = [&](int half) {
    // Beyond the last output, where nothing is written: the last one again.
    const size_t output = min(tile * kTile + lane.group + 8 * half, product.map.outputs - 1);
    return static_cast<const char*>(other ? product.other.weight : product.map.weight) +
           (output * inputs + first) * sizeof(T) + lane.piece * kPieceBytes;
  };
  const char *const low = weights(0), *const high = weights(1);
  uint4 ahead[kAhead][2];
  const auto fetch = [&](int i, int step) {
    ahead[i][0] = ahead[i][1] = {0, 0, 0, 0};
    if (step >= steps) return;
    ahead[i][0] = Stream(low + static_cast<size_t>(step) * kInputBytes);
    ahead[i][1] = Stream(high + static_cast<size_t>(step) * kInputBytes);
  };
#pragma unroll
  for (int i = 0; i < kAhead; ++i) fetch(i, warp + i * kWarps);
  LetNextBegin();
  WaitForInputs();
  if (gate.count != nullptr && !other) {
    if (threadIdx.x == 0) WaitFor(gate.count, gate.all);
    __syncthreads();
  }
  const T* const in = static_cast<const T*>(other ? product.other_in : product.in) + first +
                      lane.piece * kOfPiece<T>;
  Sums<T> sums;
  for (int begin = warp; begin < steps; begin += kAhead * kWarps) {
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      const int step = begin + i * kWarps;
      // Beyond the last step weights are zeros.
      sums.Add(ahead[i][0], ahead[i][1], in + min(step, steps - 1) * kStep, inputs, product.rows,
               lane);
      fetch(i, step + kAhead * kWarps);
    }
  }
  sums.Store(shared[warp], lane);
  __syncthreads();

  // A thread has one output of one row, if there are so many.
  const int row = threadIdx.x / kTile, output = tile * kTile + threadIdx.x % kTile;
  const bool mine = row < product.rows && output < product.map.outputs;
  float y = 0;
  if (mine) {
#pragma unroll
    for (const auto& of_warp : shared) y += of_warp[threadIdx.x % kTile][row];
  }
  if (parts > 1) {
    const auto place = [&](int of_part) {
      return product.partial +
             (static_cast<size_t>(of_part) * product.rows + row) * product.map.outputs + output;
    };
    if (mine) __stcg(place(part), y);
    __syncthreads();
    if (threadIdx.x == 0) is_last = Arrive(product.arrived + tile, parts);
    __syncthreads();
    if (!is_last) return;
    y = 0;
    for (int i = 0; i < parts && mine; ++i) y += __ldcg(place(i));
  }
  if (mine) Finish<T>(product, row, output, y);
}

}  // namespace
}  // namespace ddpt::cuda
