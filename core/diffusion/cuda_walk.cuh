#pragma once

#include <climits>

#include "core/base/philox_inline.h"
#include "core/diffusion/cuda_cluster.cuh"
#include "core/diffusion/cuda_kernels.h"
#include "core/diffusion/cuda_products.cuh"
#include "core/diffusion/noise_stage.h"

// Many steps in one launch. A cluster of thread blocks takes a tile of rows through all of them:
// each block holds the weights of its share of the outputs in shared memory (where they fit), each
// thread holds the state of its outputs in registers, and only the inputs of the next map travel,
// into the shared memory of every block of the cluster. Nobody waits for more than these inputs: a
// store to another block counts itself at a barrier there. Two buffers are enough, because a thread
// fills one after it has read the other, for which all threads of the cluster had to be done with
// the first.
namespace ddpt::cuda {

inline constexpr size_t kArrivalsBytes = 32;  // three, and what aligns the rest

// `count` floats at a multiple of their size.
template <int kCount>
inline __device__ void Load(const float* from, float (&to)[kCount]) {
  if constexpr (kCount == 4) {
    const float4 x = *reinterpret_cast<const float4*>(from);
    to[0] = x.x, to[1] = x.y, to[2] = x.z, to[3] = x.w;
  } else {
    to[0] = *from;
  }
}

template <int kCount>
inline __device__ void Store(const float (&from)[kCount], float* to) {
  if constexpr (kCount == 4) {
    *reinterpret_cast<float4*>(to) = make_float4(from[0], from[1], from[2], from[3]);
  } else {
    *to = from[0];
  }
}

inline __device__ void Copy(const char* from, char* to, size_t bytes) {
#pragma unroll 8
  for (size_t i = threadIdx.x * 16; i < bytes; i += blockDim.x * 16) {
    *reinterpret_cast<uint4*>(to + i) = *reinterpret_cast<const uint4*>(from + i);
  }
}

struct Task {
  Latent latent;
  State state;
  const Row* rows;
  int count;  // of rows
  int steps;
  bool noise;
  int* failed;
  bool clustered;  // whether the GPU has clusters
  int tile_rows;   // branches that a cluster takes: two for each row where there is guidance
};

// A thread's draw, at its outputs.
template <int kOutputs>
struct Draw {
  Row row;
  int index;  // in Task::rows; -1: none
  int left;   // steps to take
  int failed;
  Step step, after;  // the step under way and the one after it
  float tau[kOutputs], tau_after[kOutputs];
  float y[kOutputs], before[kOutputs];
};

// Apart, so that it is not computed where nobody asks for it.
inline __device__ __noinline__ float4 StepNoise(uint64_t seed, uint64_t draw, int t, int block) {
  float x[4];
  inlined::NormalBlocks(seed, draw, kStepNoiseStage + static_cast<uint32_t>(t), block, 1, x);
  return make_float4(x[0], x[1], x[2], x[3]);
}

// A thread's way through the steps. kLatent: the latent width where that is known early, else 0.
template <class Product, bool kGuided, bool kResident, int kLatent>
class Walk {
 public:
  __device__ explicit Walk(const Task& task)
      : task_(task),
        latent_(kLatent > 0 ? kLatent : task.latent.latent),
        layers_(task.latent.layers),
        rank_(ClusterRank()),
        size_(ClusterSize()),
        first_panel_(latent_ / kPanel * rank_ / size_),
        panels_(latent_ / kPanel * (rank_ + 1) / size_ - first_panel_),
        product_(threadIdx.x, task.tile_rows),
        output_(first_panel_ * kPanel + product_.output) {}

  // Fills the block's shared memory. False where nothing is left to do for this thread.
  __device__ bool Open(uint4* shared) {
    const int most_panels = (latent_ / kPanel + size_ - 1) / size_;
    const size_t panel_bytes = PanelBytesPerInput(Product::kType) * latent_;
    arrivals_ = reinterpret_cast<Arrivals*>(shared);
    bias_ = reinterpret_cast<float*>(shared + kArrivalsBytes / sizeof(uint4));
    bias_stride_ = most_panels * kPanel;
    CopyBias();
    weights_ = static_cast<const char*>(task_.latent.maps) + first_panel_ * panel_bytes;
    map_bytes_ = latent_ / kPanel * panel_bytes;
    buffers_ = reinterpret_cast<char*>(bias_ + (layers_ + 1) * bias_stride_);
    if (kResident) {
      const int maps = layers_ + (task_.noise ? 2 : 1);
      const size_t share = most_panels * panel_bytes;
      for (int m = 0; m < maps; ++m) {
        Copy(weights_ + m * map_bytes_, buffers_ + m * share, panels_ * panel_bytes);
      }
      weights_ = buffers_;
      map_bytes_ = share;
      buffers_ += maps * share;
    }
    weights_ += product_.panel * panel_bytes;
    buffer_bytes_ = task_.tile_rows * RowBytes(latent_);
    input_bytes_ = task_.tile_rows * latent_ * 4;
    if (threadIdx.x == 0) {
      for (int i = 0; i < 3; ++i) arrivals_[i].Init();
      for (int i = 0; i < 2; ++i) arrivals_[i].Expect(alone(), input_bytes_);
      arrivals_[2].Expect(alone(), input_bytes_ / kBranches);
    }
    ClusterSync();
    return product_.panel < panels_;
  }

  __device__ void LoadDraws() {
    const int first = static_cast<int>(blockIdx.x) / size_ * (task_.tile_rows / kBranches);
#pragma unroll
    for (int d = 0; d < kDraws; ++d) {
      Draw<kOutputs>& draw = draws_[d];
      draw = {};
#pragma unroll
      for (int i = 0; i < kBranches; ++i) {
#pragma unroll
        for (int j = 0; j < kOutputs; ++j) condition_[kBranches * d + i][j] = 0;
      }
      const int index = first + product_.Row(kBranches * d) / kBranches;
      draw.index = index < task_.count ? index : -1;
      if (draw.index < 0) continue;
      draw.row = task_.rows[index];
      draw.left = min(task_.steps, draw.row.count - draw.row.next);
      draw.failed = INT_MAX;
      draw.step = draw.row.steps[draw.row.next];
      const int at = draw.row.slot * latent_ + output_;
      Load(task_.latent.time + draw.step.t * latent_ + output_, draw.tau);
      Load(task_.state.state + at, draw.y);
      if (draw.row.next > 0) Load(task_.state.before + at, draw.before);
      Load(draw.row.condition + output_, condition_[kBranches * d + kBranches - 1]);
      if (kGuided) Load(task_.latent.null_condition + output_, condition_[kBranches * d]);
    }
  }

  __device__ void TakeStep(int s) {
    float activation[kRows][kOutputs], sums[kRows][kOutputs], noise[kRows][kOutputs];
    Activate(activation);
    Share(activation);
    FetchStep(s + 1);
    for (int layer = 0; layer < layers_; ++layer) {
      const char* const inputs = Wait();
      if (task_.noise && layer == 0) ShareNoise(s);
      Multiply(layer, inputs, sums);
      AddSilu(sums, activation);
      if (kGuided && layer == layers_ - 1) Guide(activation);
      Share(activation);
    }
    FetchTau(s + 1);
    const char* const inputs = Wait();
    if (task_.noise) {
      arrivals_[2].Wait(alone(), s);
      if (threadIdx.x == 0) arrivals_[2].Expect(alone(), input_bytes_ / kBranches);
    }
    Multiply(layers_, inputs, sums);
    MultiplyNoise(noise);
    Advance(s, activation, sums, noise);
  }

  __device__ void StoreDraws() {
#pragma unroll
    for (int d = 0; d < kDraws; ++d) {
      const Draw<kOutputs>& draw = draws_[d];
      if (draw.index < 0) continue;
      const int at = draw.row.slot * latent_ + output_;
      Store(draw.y, task_.state.state + at);
      Store(draw.before, task_.state.before + at);
      if (draw.failed != INT_MAX) atomicMin(task_.failed + draw.index, draw.failed);
    }
  }

 private:
  static constexpr int kRows = Product::kRows, kOutputs = Product::kOutputs;
  static constexpr int kBranches = kGuided ? 2 : 1;
  static constexpr int kDraws = kRows / kBranches;
  using Values = float[kRows][kOutputs];

  // With the usual width never: not even two of its maps fit into one block (CutFor).
  __device__ bool alone() const { return kLatent == 0 && size_ == 1; }

  __device__ void CopyBias() {
    const int count = panels_ * kPanel;
    for (int i = threadIdx.x; i < (layers_ + 1) * count; i += blockDim.x) {
      const int layer = i / count, o = i % count;
      bias_[layer * bias_stride_ + o] =
          task_.latent.bias[layer * latent_ + first_panel_ * kPanel + o];
    }
  }

  // Four values to all blocks of the cluster, not to the same one first.
  __device__ void Share(Arrivals& counted, char* inputs, int row, const uint4& x) {
    char* const at = inputs + row * RowBytes(latent_) + 4 * (output_ / 4 * 4);
    for (int i = product_.FirstBlock(); i < size_; i += Product::kBlockStep) {
      counted.Store(alone(), at, rank_ ^ i, x);
    }
  }
  // The inputs of the next map.
  __device__ void Share(const Values& x) {
    const int next = (filled_ + 1) % 2;
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      Share(arrivals_[next], buffers_ + next * buffer_bytes_, product_.Row(i),
            product_.PackMine(x[i]));
    }
  }
  // The inputs that were shared last, from all blocks.
  __device__ const char* Wait() {
    ++filled_;
    arrivals_[filled_ % 2].Wait(alone(), filled_ / 2);
    if (threadIdx.x == 0) arrivals_[filled_ % 2].Expect(alone(), input_bytes_);
    return buffers_ + filled_ % 2 * buffer_bytes_;
  }
  __device__ char* NoiseBuffer() { return buffers_ + 2 * buffer_bytes_; }

  __device__ void ShareNoise(int s) {
#pragma unroll
    for (int d = 0; d < kDraws; ++d) {
      const Draw<kOutputs>& draw = draws_[d];
      float normal[4] = {};
      if (s < draw.left && draw.step.sigma != 0) {
        const float4 x = StepNoise(draw.row.seed, draw.row.draw, draw.step.t, output_ / 4);
        normal[0] = x.x, normal[1] = x.y, normal[2] = x.z, normal[3] = x.w;
      }
      Share(arrivals_[2], NoiseBuffer(), product_.Row(kBranches * d), Product::Pack(normal));
    }
  }

  __device__ void Multiply(int map, const char* inputs, Values& sums) {
#pragma unroll
    for (int i = 0; i < kRows; ++i) Load(bias_ + map * bias_stride_ + product_.output, sums[i]);
    product_.template Multiply<kLatent>(weights_ + map * map_bytes_, inputs, latent_, sums);
  }
  __device__ void MultiplyNoise(Values& sums) {
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
#pragma unroll
      for (int j = 0; j < kOutputs; ++j) sums[i][j] = 0;
    }
    if (!task_.noise) return;
    product_.template Multiply<kLatent>(weights_ + (layers_ + 1) * map_bytes_, NoiseBuffer(),
                                        latent_, sums);
  }

  // The step's coefficients and its tau come from far: each is asked for long before its use.
  __device__ void FetchStep(int s) {
#pragma unroll
    for (int d = 0; d < kDraws; ++d) {
      Draw<kOutputs>& draw = draws_[d];
      if (s < draw.left) draw.after = draw.row.steps[draw.row.next + s];
    }
  }
  __device__ void FetchTau(int s) {
#pragma unroll
    for (int d = 0; d < kDraws; ++d) {
      Draw<kOutputs>& draw = draws_[d];
      if (s < draw.left) {
        Load(task_.latent.time + draw.after.t * latent_ + output_, draw.tau_after);
      }
    }
  }

  __device__ void Activate(Values& out) {
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      const Draw<kOutputs>& draw = draws_[i / kBranches];
#pragma unroll
      for (int j = 0; j < kOutputs; ++j) {
        out[i][j] = Product::Silu((draw.y[j] + draw.tau[j]) + condition_[i][j]);
      }
    }
  }
  static __device__ void AddSilu(const Values& sums, Values& activation) {
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
#pragma unroll
      for (int j = 0; j < kOutputs; ++j) {
        activation[i][j] = activation[i][j] + Product::Silu(sums[i][j]);
      }
    }
  }
  // Both branches become the guided one.
  __device__ void Guide(Values& activation) {
#pragma unroll
    for (int d = 0; d < kDraws; ++d) {
      const float scale = draws_[d].row.guidance;
#pragma unroll
      for (int j = 0; j < kOutputs; ++j) {
        float& without = activation[kBranches * d][j];
        float& with = activation[kBranches * d + kBranches - 1][j];
        without = with = __fmaf_rn(scale, with, (1.0f - scale) * without);
      }
    }
  }

  __device__ void Advance(int s, const Values& phi, const Values& directions, const Values& noise) {
#pragma unroll
    for (int d = 0; d < kDraws; ++d) {
      Draw<kOutputs>& draw = draws_[d];
      if (s >= draw.left) continue;
      bool finite = true;
#pragma unroll
      for (int j = 0; j < kOutputs; ++j) {
        const float direction = directions[kBranches * d][j];
        const float moved = __fmaf_rn(draw.step.q, direction, draw.step.p * draw.y[j]);
        draw.y[j] = __fmaf_rn(draw.step.r, draw.before[j], moved);
        if (draw.step.sigma != 0) {
          draw.y[j] = __fmaf_rn(draw.step.sigma, noise[kBranches * d][j], draw.y[j]);
        }
        draw.before[j] = direction;
        finite &= isfinite(draw.y[j]);
      }
      const int number = draw.row.next + s;
      if (number + 1 == draw.row.count) {
        Store(phi[kBranches * d], task_.state.phi + draw.row.slot * latent_ + output_);
      } else if (!finite) {
        draw.failed = min(draw.failed, number);
      }
      draw.step = draw.after;
#pragma unroll
      for (int j = 0; j < kOutputs; ++j) draw.tau[j] = draw.tau_after[j];
    }
  }

  const Task& task_;
  const int latent_, layers_;
  const int rank_, size_;  // of the block, of the cluster
  const int first_panel_, panels_;
  const Product product_;
  const int output_;  // the first of the thread's

  // In shared memory: arrivals of the two buffers and of noise; biases; weights; two buffers and
  // that of the noise.
  Arrivals* arrivals_;
  float* bias_;
  int bias_stride_;
  const char* weights_;  // of the thread's panel, or where they lie on the GPU
  size_t map_bytes_;
  char* buffers_;
  int buffer_bytes_, input_bytes_;
  int filled_ = -1;  // number of the inputs that were waited for last

  Draw<kOutputs> draws_[kDraws];
  float condition_[kRows][kOutputs];
};

}  // namespace ddpt::cuda
