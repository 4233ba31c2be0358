#pragma once

#include <cuda_bf16.h>

#include <cstdint>

#include "core/base/math_inline.h"
#include "core/diffusion/cuda_kernels.h"

// The products of a step's maps with their inputs.
namespace ddpt::cuda {

inline constexpr int kQuads = kPanel / 4;  // a panel's outputs, four by four

// The inputs of a row take 4 bytes each, whichever way they are kept. The bytes beyond them spread
// the rows over the banks.
__host__ __device__ constexpr int RowBytes(int latent) { return 4 * latent + 16; }

// A product says which outputs of which rows a thread has: kOutputs from `output` of the block's on
// of each of kRows rows; how four inputs are kept in 16 bytes; how they are multiplied; and its
// SiLU. Threads whose `panel` is beyond the block's have nothing to do. kLatent is `latent` where
// that is known early, else 0.

inline __device__ uint4 PackFloat32(const float (&x)[4]) {
  return {__float_as_uint(x[0]), __float_as_uint(x[1]), __float_as_uint(x[2]),
          __float_as_uint(x[3])};
}

// sum = sum + weight x, in the order of the inputs.
inline __device__ void MultiplyFour(const float4& weight, const float4& x, float& sum) {
  sum = __fmaf_rn(weight.x, x.x, sum);
  sum = __fmaf_rn(weight.y, x.y, sum);
  sum = __fmaf_rn(weight.z, x.z, sum);
  sum = __fmaf_rn(weight.w, x.w, sum);
}

// kFloat32, for few rows: a thread for each output, so that a step takes little longer than one
// chain. Lane l has output 4 (l % 8) + l / 8 of its panel. A panel's weights: [h / 4][lane] groups
// of four inputs.
template <int kRowsOfThread>
struct NarrowProduct {
  static constexpr WeightType kType = WeightType::kFloat32;
  static constexpr int kRows = kRowsOfThread, kOutputs = 1, kTileStep = kRows;
  static int Threads(int tile_rows, int panels) { return tile_rows / kRows * panels * kPanel; }

  __device__ NarrowProduct(int thread, int tile_rows) {
    lane = thread % kPanel;
    const int unit = thread / kPanel, groups = tile_rows / kRows;
    panel = unit / groups;
    first_row = unit % groups * kRows;
    output = panel * kPanel + lane % kQuads * 4 + lane / kQuads;
  }
  __device__ int Row(int i) const { return first_row + i; }
  // Of the four threads with neighbouring outputs each stores to a part of the blocks.
  __device__ int FirstBlock() const { return lane / kQuads; }
  static constexpr int kBlockStep = 4;
  static __device__ uint4 Pack(const float (&x)[4]) { return PackFloat32(x); }
  __device__ uint4 PackMine(const float (&x)[1]) const {
    const int low = lane % kQuads;
    float four[4];
#pragma unroll
    for (int j = 0; j < 4; ++j) four[j] = __shfl_sync(0xffffffff, x[0], low + j * kQuads);
    return Pack(four);
  }
  static __device__ float Silu(float x) { return inlined::Silu(x); }

  template <int kLatent>
  __device__ void Multiply(const char* weights, const char* inputs, int latent,
                           float (&sums)[kRows][1]) const {
    const float4* w = reinterpret_cast<const float4*>(weights) + lane;
    const char* rows = inputs + first_row * RowBytes(latent);
    constexpr int kUnroll = kLatent > 0 ? kLatent / 4 : 8;  // loads long before their use
#pragma unroll kUnroll
    for (int k = 0; k < latent; k += 4) {
      const float4 weight = w[k * kQuads];
#pragma unroll
      for (int i = 0; i < kRows; ++i) {
        MultiplyFour(weight, *reinterpret_cast<const float4*>(rows + i * RowBytes(latent) + 4 * k),
                     sums[i][0]);
      }
    }
  }

  int panel, output, lane, first_row;
};

// kFloat32, for many rows: four outputs of two rows, for each load takes the time of four sums.
struct WideProduct {
  static constexpr WeightType kType = WeightType::kFloat32;
  static constexpr int kRows = 2, kOutputs = 4, kTileStep = kRows;
  static int Threads(int tile_rows, int panels) { return tile_rows / kRows * panels * kQuads; }

  __device__ WideProduct(int thread, int tile_rows) {
    const int unit = thread / kQuads, groups = tile_rows / kRows;
    quad = thread % kQuads;
    panel = unit / groups;
    group = unit % groups;
    output = panel * kPanel + 4 * quad;
  }
  __device__ int Row(int i) const { return group * kRows + i; }
  __device__ int FirstBlock() const { return 0; }
  static constexpr int kBlockStep = 1;
  static __device__ uint4 Pack(const float (&x)[4]) { return PackFloat32(x); }
  __device__ uint4 PackMine(const float (&x)[4]) const { return Pack(x); }
  static __device__ float Silu(float x) { return inlined::Silu(x); }

  template <int kLatent>
  __device__ void Multiply(const char* weights, const char* inputs, int latent,
                           float (&sums)[kRows][4]) const {
    const float4* w = reinterpret_cast<const float4*>(weights) + quad;
    const char* rows = inputs + Row(0) * RowBytes(latent);
#pragma unroll 4
    for (int k = 0; k < latent; k += 4) {
      float4 weight[4], x[kRows];
#pragma unroll
      for (int j = 0; j < 4; ++j) weight[j] = w[k * kQuads + j * kQuads];
#pragma unroll
      for (int i = 0; i < kRows; ++i) {
        x[i] = *reinterpret_cast<const float4*>(rows + i * RowBytes(latent) + 4 * k);
      }
#pragma unroll
      for (int i = 0; i < kRows; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) MultiplyFour(weight[j], x[i], sums[i][j]);
      }
    }
  }

  int panel, output, quad, group;
};

inline __device__ void MultiplyTile(float (&sums)[4], const uint4& a, uint32_t b0, uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "r"(b0), "r"(b1));
}

// Two numbers as bfloat16, the first in the lower half.
inline __device__ uint32_t Bfloat16Pair(float first, float second) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(first, second);
  return __bfloat16_as_ushort(pair.x) | uint32_t{__bfloat16_as_ushort(pair.y)} << 16;
}

// What the pair leaves of the numbers that it was made from, likewise.
inline __device__ uint32_t RestPair(uint32_t pair, float first, float second) {
  return Bfloat16Pair(first - __uint_as_float(pair << 16),
                      second - __uint_as_float(pair & 0xffff0000u));
}

// kBfloat16. The matrix of m16n8k16 is the weights, 16 outputs by 16 inputs, its columns are 8 rows
// of the tile. Of 32 inputs, lane l has inputs 8 (l % 4) .. + 7 of row l / 4: four for each of two
// products, so 16 bytes bring one. The two tiles of 16 outputs of a panel interleave so that lane
// l ends with outputs 4 (l / 4) .. + 3 of rows 2 (l % 4) and 2 (l % 4) + 1.
// A panel's weights: [h / 32][product][tile][lane] 16 bytes. Four inputs: their upper parts, then
// their lower ones.
struct Bfloat16Product {
  static constexpr WeightType kType = WeightType::kBfloat16;
  static constexpr int kRows = 2, kOutputs = 4, kTileStep = 8;
  static int Threads(int tile_rows, int panels) { return tile_rows / 8 * panels * 32; }

  __device__ Bfloat16Product(int thread, int tile_rows) {
    const int warp = thread / 32, groups = tile_rows / 8;
    lane = thread % 32;
    panel = warp / groups;
    first_row = warp % groups * 8;
    output = panel * kPanel + lane / 4 * 4;
  }
  __device__ int Row(int i) const { return first_row + lane % 4 * 2 + i; }
  __device__ int FirstBlock() const { return 0; }
  static constexpr int kBlockStep = 1;
  static __device__ uint4 Pack(const float (&x)[4]) {
    const uint32_t a = Bfloat16Pair(x[0], x[1]), b = Bfloat16Pair(x[2], x[3]);
    return {a, b, RestPair(a, x[0], x[1]), RestPair(b, x[2], x[3])};
  }
  __device__ uint4 PackMine(const float (&x)[4]) const { return Pack(x); }
  // By the approximations in hardware: 2^-22 or so of x.
  static __device__ float Silu(float x) {
    float power, inverse;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x * -1.44269504f));
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(inverse) : "f"(1.0f + power));
    return x * inverse;
  }

  template <int kLatent>
  __device__ void Multiply(const char* weights, const char* inputs, int latent,
                           float (&sums)[kRows][4]) const {
    const uint4* w = reinterpret_cast<const uint4*>(weights) + lane;
    const char* row = inputs + (first_row + lane / 4) * RowBytes(latent) + lane % 4 * 32;
    // Eight chains, for one alone would wait for the tensor cores.
    float high[2][2][4] = {}, low[2][2][4] = {};
    __syncwarp();
#pragma unroll 8
    for (int block = 0; block < latent / 32; ++block) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const uint4 x = *reinterpret_cast<const uint4*>(row + block * 128 + i * 16);
#pragma unroll
        for (int tile = 0; tile < 2; ++tile) {
          const uint4 a = w[(block * 4 + 2 * i + tile) * 32];
          MultiplyTile(high[i][tile], a, x.x, x.y);
          MultiplyTile(low[i][tile], a, x.z, x.w);
        }
      }
    }
#pragma unroll
    for (int tile = 0; tile < 2; ++tile) {
      float sum[4];
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        sum[e] = (high[0][tile][e] + high[1][tile][e]) + (low[0][tile][e] + low[1][tile][e]);
      }
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        sums[i][2 * tile] += sum[i];
        sums[i][2 * tile + 1] += sum[2 + i];
      }
    }
  }

  int panel, output, lane, first_row;
};

}  // namespace ddpt::cuda
