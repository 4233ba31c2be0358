#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "core/diffusion/kernels.h"

// The kernels of CudaLatentBatch, as functions that put their work on a stream and return the
// launch's error. All pointers are the device's. They do not block.
namespace ddpt::cuda {

// Outputs of a map that one thread block computes together; latent widths are multiples of it.
inline constexpr int kPanel = 32;

// How the maps of a step are kept and multiplied:
//   kFloat32: every output one chain of fused multiply-adds in the order of the inputs, starting
//     from the bias, as in kernels.h: the bytes are those of the processor;
//   kBfloat16: weights in bfloat16, inputs as the sum of two bfloat16 numbers (16 bits of
//   mantissa),
//     products and sums by the tensor cores in float32.
// A map [h, h] is h / 32 panels of 32 outputs. Bytes of a panel for each input:
constexpr size_t PanelBytesPerInput(WeightType type) {
  return kPanel * (type == WeightType::kBfloat16 ? 2 : 4);
}
// Packs W [h, h], given as panels in the layout of AffineView for float32, in the order in which
// the kernels read it: `packed` has h / 32 panels.
void PackMap(WeightType type, const float* panels, int latent, void* packed);

// What a launch has to know of a GPU.
struct Device {
  struct Clusters {
    int size;
    int together = 0;  // that run at the same time; 0 where the GPU has no clusters
  };
  int capability = 0;                           // 90 for compute capability 9.0
  size_t shared_bytes = 0;                      // of a block
  Clusters clusters[4] = {{1}, {2}, {4}, {8}};  // every GPU with clusters has these
};
cudaError_t Describe(int number, Device* device);

// SamplerStep, rounded.
struct Step {
  int32_t t;
  float p, q, r, sigma;
};

// One draw.
struct Row {
  const Step* steps;       // of its sampler's table
  const float* condition;  // [h]
  uint64_t seed, draw;
  int32_t slot;   // its row in the arrays [capacity, h]
  int32_t next;   // the first step to take
  int32_t count;  // steps of the table
  float guidance;
};

struct Latent {
  WeightType type;
  int latent, layers;
  const void* maps;             // layers + 2 packed maps: V_1.., M, L
  const float* bias;            // [layers + 1, h]: d_1.., v
  const float* time;            // [T, h]: tau(t) + b
  const float* null_condition;  // [h]
};

// Whether TakeSteps takes it; of account are type, latent and layers: on GPUs with clusters latent
// widths up to 1,024 at least, on others up to 256 in bfloat16.
bool Fits(const Latent& latent, const Device& device);

// [capacity, h], by slot.
struct State {
  float* state;   // y
  float* before;  // the direction of the step before
  float* phi;     // of the last step
};

// Takes `steps` steps of each row, or as many as it has left. `failed` [rows], large at first:
// the first step of each row after which its state was not finite, the last one apart. With
// `guided` every row runs two branches, without and with its condition; with `noise` some row draws
// noise. Layers must be at least 1.
cudaError_t TakeSteps(const Latent& latent, const State& state, const Row* rows, int count,
                      int steps, bool guided, bool noise, int* failed, const Device& device,
                      cudaStream_t stream);

// x_T of rows 0..count - 1: out [count, size], size a multiple of 4.
cudaError_t DrawInitialNoise(const Row* rows, int count, size_t size, float* out,
                             cudaStream_t stream);

// out = bias + W in, then out = out + add where `add` is there, by the chains of kFloat32.
struct Affine {
  const float* panels;     // in the layout of AffineView for float32
  const float* bias;       // [outputs], null for zeros
  size_t inputs, outputs;  // multiples of 32
};
// `in` [rows, inputs] by row, or by slot where `slots` is not null, and so is out[rows, outputs].
struct AffineRows {
  const float* in = nullptr;
  const int* in_slots = nullptr;
  float* out = nullptr;
  const int* out_slots = nullptr;
  const float* add = nullptr;         // [outputs]
  const uint8_t* with_add = nullptr;  // [rows], which get it
  int* bad = nullptr;  // [rows]: set to 1 where an output, before `add`, is not finite
  int rows = 0;
};
cudaError_t Apply(const Affine& map, const AffineRows& rows, cudaStream_t stream);

}  // namespace ddpt::cuda
