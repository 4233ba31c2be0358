#pragma once

#include <cstdint>
#include <vector>

#include "core/diffusion/denoiser_spec.h"

namespace ddpt {

// alpha-bar_t for t = 0..T-1, strictly decreasing in (0, 1), in double precision.
// Linear: the running product of 1 - beta_t, beta_t evenly spaced from beta_start to beta_end.
// Cosine (Nichol & Dhariwal): beta_t = min(1 - f(t+1) / f(t), 0.999),
// f(t) = cos^2((t/T + 0.008) / 1.008 * pi/2). The same on every processor.
std::vector<double> AlphaBars(const DenoiserSpec& spec);

// "Trailing" spacing: the `steps` timesteps of a sampler in the order visited,
// t_i = round(T (steps - i) / steps) - 1, halves up; strictly decreasing from T-1.
// Needs 1 <= steps <= train_steps.
std::vector<int64_t> TrailingTimesteps(int64_t train_steps, int64_t steps);

// s(t) for t = 0..T-1, row-major [T, features]: element j < features/2 is cos(t w_j), element
// j + features/2 is sin(t w_j), w_j = 10000^(-j / (features/2)) radians; computed in double
// precision and rounded to float32. The same on every processor.
std::vector<float> TimeFeatures(int64_t train_steps, int64_t features);

}  // namespace ddpt
