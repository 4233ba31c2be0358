#include <cuda_pipeline.h>

#include "core/base/philox_inline.h"
#include "core/diffusion/cuda_kernels.h"
#include "core/diffusion/noise_stage.h"

// The two ends of a draw: its noise, and the maps between R^D and R^h.
namespace ddpt::cuda {
namespace {

constexpr int kNoiseThreads = 256;
constexpr int kQuads = kPanel / 4;
// A block takes 32 outputs of 32 rows: a thread four outputs of two rows. Several stages of 32
// inputs are on their way, for where there are few rows the time is that of the memory.
constexpr int kTileRows = 32;
constexpr int kTileInputs = 32;
constexpr int kRowsOfThread = 2;
constexpr int kAffineThreads = kTileRows / kRowsOfThread * kQuads;
constexpr int kStages = 8;
constexpr int kInputStride = kTileInputs + 4;  // spreads the rows over the banks

__global__ void NoiseKernel(const Row* rows, size_t size, float* out) {
  const size_t block = size_t{blockIdx.x} * kNoiseThreads + threadIdx.x;
  if (4 * block >= size) return;
  const Row& row = rows[blockIdx.y];
  float normal[4];
  inlined::NormalBlocks(row.seed, row.draw, kInitialNoiseStage, static_cast<uint32_t>(block), 1,
                        normal);
  reinterpret_cast<float4*>(out + blockIdx.y * size)[block] =
      make_float4(normal[0], normal[1], normal[2], normal[3]);
}

struct Stage {
  float weights[kTileInputs][kPanel];
  float inputs[kTileRows][kInputStride];
};

__global__ void __launch_bounds__(kAffineThreads)
    AffineKernel(const Affine map, const AffineRows rows) {
  extern __shared__ __align__(16) char shared[];
  Stage* const stages = reinterpret_cast<Stage*>(shared);
  const int thread = threadIdx.x, quad = thread % kQuads;
  const int first_row = blockIdx.y * kTileRows;
  const float* panel = map.panels + blockIdx.x * map.inputs * kPanel;
  const int tiles = static_cast<int>(map.inputs / kTileInputs);

  const auto fetch = [&](int tile) {
    if (tile < tiles) {
      Stage& stage = stages[tile % kStages];
      for (int i = thread; i < kTileInputs * kPanel / 4; i += kAffineThreads) {
        __pipeline_memcpy_async(&stage.weights[0][4 * i],
                                panel + static_cast<size_t>(tile) * kTileInputs * kPanel + 4 * i,
                                16);
      }
      for (int i = thread; i < kTileRows * kTileInputs / 4; i += kAffineThreads) {
        const int row = i / (kTileInputs / 4), input = i % (kTileInputs / 4) * 4;
        const int from = first_row + row;
        if (from >= rows.rows) continue;  // nobody reads those sums
        const size_t at = rows.in_slots == nullptr ? from : rows.in_slots[from];
        __pipeline_memcpy_async(&stage.inputs[row][input],
                                rows.in + at * map.inputs + tile * kTileInputs + input, 16);
      }
    }
    __pipeline_commit();
  };

  const int output = blockIdx.x * kPanel + 4 * quad;
  const int row = thread / kQuads * kRowsOfThread;
  float sums[kRowsOfThread][4] = {};
  if (map.bias != nullptr) {
    for (int i = 0; i < kRowsOfThread; ++i) {
      for (int j = 0; j < 4; ++j) sums[i][j] = map.bias[output + j];
    }
  }
  for (int tile = 0; tile < kStages - 1; ++tile) fetch(tile);
  for (int tile = 0; tile < tiles; ++tile) {
    fetch(tile + kStages - 1);
    __pipeline_wait_prior(kStages - 1);
    __syncthreads();
    const Stage& stage = stages[tile % kStages];
#pragma unroll
    for (int k = 0; k < kTileInputs; k += 4) {
      float x[kRowsOfThread][4];
#pragma unroll
      for (int i = 0; i < kRowsOfThread; ++i) {
        const float4 four = *reinterpret_cast<const float4*>(&stage.inputs[row + i][k]);
        x[i][0] = four.x, x[i][1] = four.y, x[i][2] = four.z, x[i][3] = four.w;
      }
#pragma unroll
      for (int step = 0; step < 4; ++step) {
        const float4 w = *reinterpret_cast<const float4*>(&stage.weights[k + step][4 * quad]);
#pragma unroll
        for (int i = 0; i < kRowsOfThread; ++i) {
          sums[i][0] = __fmaf_rn(w.x, x[i][step], sums[i][0]);
          sums[i][1] = __fmaf_rn(w.y, x[i][step], sums[i][1]);
          sums[i][2] = __fmaf_rn(w.z, x[i][step], sums[i][2]);
          sums[i][3] = __fmaf_rn(w.w, x[i][step], sums[i][3]);
        }
      }
    }
    __syncthreads();
  }

#pragma unroll
  for (int i = 0; i < kRowsOfThread; ++i) {
    const int index = first_row + row + i;
    if (index >= rows.rows) continue;
    const bool add = rows.add != nullptr && rows.with_add[index] != 0;
    bool finite = true;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      finite &= isfinite(sums[i][j]);
      if (add) sums[i][j] += rows.add[output + j];
    }
    if (!finite && rows.bad != nullptr) rows.bad[index] = 1;
    const size_t at = rows.out_slots == nullptr ? index : rows.out_slots[index];
    *reinterpret_cast<float4*>(rows.out + at * map.outputs + output) =
        make_float4(sums[i][0], sums[i][1], sums[i][2], sums[i][3]);
  }
}

unsigned CeilOf(size_t count, size_t part) {
  return static_cast<unsigned>((count + part - 1) / part);
}

}  // namespace

cudaError_t DrawInitialNoise(const Row* rows, int count, size_t size, float* out,
                             cudaStream_t stream) {
  const dim3 grid(CeilOf(size / 4, kNoiseThreads), count);
  NoiseKernel<<<grid, kNoiseThreads, 0, stream>>>(rows, size, out);
  return cudaGetLastError();
}

cudaError_t Apply(const Affine& map, const AffineRows& rows, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(map.outputs / kPanel), CeilOf(rows.rows, kTileRows));
  constexpr int kSharedBytes = kStages * sizeof(Stage);
  const cudaError_t error =
      cudaFuncSetAttribute(AffineKernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kSharedBytes);
  if (error != cudaSuccess) return error;
  AffineKernel<<<grid, kAffineThreads, kSharedBytes, stream>>>(map, rows);
  return cudaGetLastError();
}

}  // namespace ddpt::cuda
