#pragma once

#include <cstddef>

namespace ddpt {

enum class WeightType { kFloat32, kBfloat16 };

inline constexpr size_t kPanelWidth = 32;

// Elements of a panel for each of its outputs: inputs, or pairs of them.
constexpr size_t PanelDepth(WeightType type, size_t inputs) {
  return type == WeightType::kBfloat16 ? (inputs + 1) / 2 : inputs;
}

// out = bias + W in for a matrix W [outputs, inputs] packed in panels of kPanelWidth = 32 outputs,
// zeros beyond `outputs`: panels[(o / 32) * depth * 32 + k * 32 + o % 32] is W[o][k] for float32,
// and for bfloat16 the pair W[o][2k], in the upper half of its bits, and W[o][2k + 1].
struct AffineView {
  const float* panels = nullptr;  // 64-byte aligned
  const float* bias = nullptr;    // a multiple of 32 elements, 64-byte aligned
  size_t inputs = 0;
  size_t outputs = 0;
  WeightType type = WeightType::kFloat32;
  // Read so rarely that its weights pass the caches by, which are left to what is used again.
  bool streamed = false;
};

// Panels begin .. end - 1 of a map: its outputs from begin * 32 to end * 32 or the last.
struct PanelRange {
  size_t begin, end;
};
constexpr size_t PanelsOf(size_t outputs) { return (outputs + kPanelWidth - 1) / kPanelWidth; }

// Coefficients of one sampler step, see SamplerStep; `add_state` is X0_RESIDUAL's d = x + g.
struct StepCoefficients {
  float p = 0, q = 0, r = 0, sigma = 0;
  bool add_state = false;
};

// The arithmetic of the latent engine. One rule makes the bytes of a row independent of its
// neighbours and of the instruction set: every output element is ONE chain of fused multiply-adds
// in the order of the input index, starting from the bias, and every other operation is element by
// element; kernels vectorise over outputs and rows only. So all implementations agree bit for bit.
// All sums and inputs are float32, whatever the weights are. Pointers need no alignment unless
// stated; outputs do not overlap inputs. Thread-safe, no state.
struct Kernels {
  const char* name;  // "portable", "avx2", "avx512"
  // out[row] [outputs] = bias + W in[row] [inputs], for row < rows; of the outputs only those of
  // `panels`.
  void (*affine)(const AffineView& map, PanelRange panels, const float* const* in, size_t rows,
                 float* const* out);
  // out = silu((state + time) + condition), n elements.
  void (*activate)(size_t n, const float* state, const float* time, const float* condition,
                   float* out);
  // x = a + silu(x).
  void (*add_silu)(size_t n, const float* a, float* x);
  // out = fma(scale, with, (1 - scale) * without); out may be `without`.
  void (*guide)(size_t n, float scale, const float* without, const float* with, float* out);
  // sum = fma(weight, x, sum).
  void (*accumulate)(size_t n, float weight, const float* x, float* sum);
  // d = add_state ? d + state : d; state = fma(r, d_before, fma(q, d, p * state)), then, where
  // `noise` is not null, state = fma(sigma, noise, state); d_before = d.
  void (*advance)(size_t n, const StepCoefficients& step, const float* noise, const float* d,
                  float* state, float* d_before);
  // Whether all n elements are finite.
  bool (*all_finite)(size_t n, const float* x);
};

const Kernels& PortableKernels();
// Null where this build or this processor has none.
const Kernels* Avx2Kernels();
const Kernels* Avx512Kernels();
// The fastest that the processor can run, chosen once.
const Kernels& BestKernels();

}  // namespace ddpt
