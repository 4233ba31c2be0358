#pragma once

#include "core/model/cuda_common.cuh"
#include "core/model/cuda_kernels.h"

// Products of few rows with weights that are read once (inside of cuda_kernels.cu).
namespace ddpt::cuda {
namespace {

constexpr int kTile = 16;  // outputs that a block computes together
constexpr int kOfLine = kLineBytes / kPieceBytes;
// Of a warp's step: a line of each output. Weights are read in whole lines, on their way through
// shared memory, where more bytes wait than registers hold.
constexpr int kStepBytes = kTile * kLineBytes;
// Steps that a warp has asked for. With three blocks on a multiprocessor 2 to 6 were tried on an
// H200: fewer leave the memory idle, more make the next inputs wait behind them.
constexpr int kAhead = 3;
constexpr int kRingBytes = kWarps * kAhead * kStepBytes;  // shared memory of a block

__device__ float Gelu(float x) {
  constexpr float kRoot = 0.7978845608028654f;  // of 2 / pi
  return 0.5f * x * (1 + tanhf(kRoot * (x + 0.044715f * x * x * x)));
}

// Where a thread stands in the 16 outputs x 64 bytes that a warp multiplies at a time: it has a
// piece of the inputs of outputs `group` and `group` + 8.
struct Lane {
  __device__ Lane() : group(threadIdx.x % kWarp / 4), piece(threadIdx.x % 4) {}
  const int group, piece;
};

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

// Which piece of the inputs a thread has in half `half` of its warp's step.
__device__ int PieceOf(int step, int half, const Lane& lane) {
  const int line = step * kWarps + static_cast<int>(threadIdx.x) / kWarp;
  return line * kOfLine + half * (kOfLine / 2) + lane.piece;
}

// A warp's sums of kTile outputs of kMaxRows rows.
template <typename T>
class Sums {
 public:
  // What this thread needs of the inputs for kAhead steps.
  class Inputs {
   public:
    // `in` is row 0.
    __device__ Inputs(const T* in, size_t stride, int rows, int pieces, const Lane& lane)
        : in_(in + lane.group * stride), pieces_(lane.group < rows ? pieces : 0), lane_(lane) {}
    // Of step `step`, in the place of the step kAhead before it.
    __device__ void Ask(int slot, int step) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int at = PieceOf(step, half, lane_);
        if (at < pieces_) x_[slot][half] = Piece(in_ + at * kOfPiece<T>);
      }
    }
    __device__ const uint4& Get(int slot, int half) const { return x_[slot][half]; }

   private:
    const T* const in_;
    const int pieces_;
    const Lane& lane_;
    uint4 x_[kAhead][2] = {};  // beyond the last piece, where weights are zeros: what was there
  };
  __device__ void Add(const uint4& low, const uint4& high, const Inputs& inputs, int slot,
                      int half) {
    MultiplyFragments<T>(sums_, low, high, inputs.Get(slot, half));
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
  // Where they are.
  class Inputs {
   public:
    __device__ Inputs(const float* in, size_t stride, int rows, int pieces, const Lane& lane)
        : in_(in), stride_(stride), rows_(rows), pieces_(pieces), lane_(lane) {}
    __device__ void Ask(int slot, int step) { steps_[slot] = step; }
    __device__ uint4 Get(int slot, int half, int row) const {
      const int at = PieceOf(steps_[slot], half, lane_);
      if (row >= rows_ || at >= pieces_) return {0, 0, 0, 0};
      return Piece(in_ + row * stride_ + at * kOfPiece<float>);
    }

   private:
    const float* const in_;
    const size_t stride_;
    const int rows_, pieces_;
    const Lane& lane_;
    int steps_[kAhead];
  };
  __device__ void Add(const uint4& low, const uint4& high, const Inputs& inputs, int slot,
                      int half) {
#pragma unroll
    for (int row = 0; row < kMaxRows; ++row) {
      const uint4 x = inputs.Get(slot, half, row);
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
  const unsigned* count = nullptr;  // null: it does not
  unsigned all = 0;
};

// A warp's weights of a unit, on their way through its part of the block's shared memory: of each
// step a line of each output, every other one with its halves swapped, so that a warp reads all
// banks at once.
class Ring {
 public:
  // The weights begin at `first`, where each output has `pieces`, `stride` bytes apart.
  __device__ Ring(char* shared, const char* first, size_t stride, int outputs, int pieces)
      : pieces_(pieces), to_(shared + threadIdx.x / kWarp * (kAhead * kStepBytes)) {
    const int output = threadIdx.x % kWarp / kOfLine;
#pragma unroll
    for (int i = 0; i < kCopies; ++i) {
      // Beyond the last output, where nothing is written: the last one again.
      from_[i] = first + min(output + i * kAtOnce, outputs - 1) * stride;
    }
  }

  // Asks for a step's, a group of copies: zeros beyond the last piece.
  __device__ void Ask(int slot, int step) const {
    const int lane = threadIdx.x % kWarp, output = lane / kOfLine, piece = lane % kOfLine;
    const int at = (step * kWarps + static_cast<int>(threadIdx.x) / kWarp) * kOfLine + piece;
    const bool is_there = at < pieces_;
    const unsigned to = static_cast<unsigned>(__cvta_generic_to_shared(to_)) + slot * kStepBytes +
                        output * kLineBytes + Swapped(output, piece) * kPieceBytes;
    if (step * kWarps * kOfLine < pieces_) {
#pragma unroll
      for (int i = 0; i < kCopies; ++i) {
        Fetch(to + i * kAtOnce * kLineBytes, is_there ? from_[i] + at * kPieceBytes : from_[i],
              is_there);
      }
    }
    EndGroup();
  }

  // Of output `group`, + 8 if `high`, the half of a line.
  __device__ uint4 Get(int slot, int half, bool high, const Lane& lane) const {
    return *reinterpret_cast<const uint4*>(
        to_ + slot * kStepBytes + (lane.group + 8 * high) * kLineBytes +
        Swapped(lane.group, kOfLine / 2 * half + lane.piece) * kPieceBytes);
  }

 private:
  static constexpr int kAtOnce = kWarp / kOfLine;  // outputs of a copy of all lanes
  static constexpr int kCopies = kTile / kAtOnce;
  static __device__ int Swapped(int output, int piece) {
    return piece ^ (output % 2 * (kOfLine / 2));
  }
  const int pieces_;
  char* const to_;
  const char* from_[kCopies];
};

// The work of block `unit`, of Units.
template <typename T>
__device__ void MultiplyUnit(const Product& product, int unit, const Gate& gate, char* ring_at) {
  __shared__ float shared[kWarps][kTile][kMaxRows + 1];
  __shared__ bool is_last;
  const int tiles = Tiles(product), parts = Parts(product);
  const int tile = unit % tiles, part = parts - 1 - unit / tiles;
  const bool other = part > 0;
  const int inputs = other ? product.other.inputs : product.map.inputs;
  const int first = other ? (part - 1) * product.map.inputs : 0;
  const int pieces = min(product.map.inputs, inputs - first) / kOfPiece<T>;
  const int steps = (pieces + kWarps * kOfLine - 1) / (kWarps * kOfLine);

  const Lane lane;
  const int warp = threadIdx.x / kWarp;
  const size_t stride = inputs * sizeof(T);
  const Ring ring(ring_at,
                  static_cast<const char*>(other ? product.other.weight : product.map.weight) +
                      tile * kTile * stride + first * sizeof(T),
                  stride, product.map.outputs - tile * kTile, pieces);
#pragma unroll
  for (int i = 0; i < kAhead; ++i) ring.Ask(i, i);
  LetNextBegin();
  WaitForInputs();
  if (gate.count != nullptr && !other) {
    if (threadIdx.x == 0) WaitFor(gate.count, gate.all);
    __syncthreads();
  }
  const T* const in = static_cast<const T*>(other ? product.other_in : product.in) + first;
  Sums<T> sums;
  typename Sums<T>::Inputs x(in, inputs, product.rows, pieces, lane);
#pragma unroll
  for (int i = 0; i < kAhead; ++i) x.Ask(i, i);
  for (int step = 0; step < steps; step += kAhead) {
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      WaitForGroups<kAhead - 1>();
      __syncwarp();
      if (step + i < steps) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          sums.Add(ring.Get(i, half, false, lane), ring.Get(i, half, true, lane), x, i, half);
        }
      }
      __syncwarp();
      ring.Ask(i, step + i + kAhead);
      x.Ask(i, step + i + kAhead);
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
