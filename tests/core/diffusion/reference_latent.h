#pragma once

#include <cmath>
#include <vector>

#include "core/base/philox.h"
#include "core/diffusion/cholesky.h"
#include "core/diffusion/denoiser.h"
#include "core/diffusion/sample_row.h"
#include "core/diffusion/schedule.h"

namespace ddpt {

// The latent recurrence in double precision, deterministic samplers, no condition: shows that the
// shortcut is exact, apart from the rounding of float32.
class ReferenceLatent {
 public:
  explicit ReferenceLatent(const Denoiser& denoiser)
      : spec_(denoiser.spec()), weights_(denoiser.weights()) {
    const size_t h = spec_.latent, size = spec_.size();
    matrix_ = ProductInDouble(weights_.down_weight, weights_.up_weight, h, size, h);
    offset_ = ProductInDouble(weights_.down_weight, weights_.up_bias, h, size, 1);
    features_ = TimeFeatures(spec_.train_steps, spec_.time_features);
  }

  std::vector<double> SampleFrom(const std::vector<double>& x, const SampleRow& row) const {
    const SamplerTable table = MakeSamplerTable(row.options, spec_, AlphaBars(spec_));
    const size_t h = spec_.latent;
    std::vector<double> y = Affine(weights_.down_weight, Zeros(h), x);
    std::vector<double> before(h, 0), sum(h, 0), phi;
    for (const SamplerStep& step : table.steps) {
      phi = Phi(y, step.t);
      std::vector<double> d = Affine(matrix_, offset_, phi);
      for (size_t i = 0; i < h; ++i) {
        sum[i] += step.direction_weight * phi[i];
        if (spec_.reading == Reading::kX0Residual) d[i] += y[i];
        y[i] = step.p * y[i] + step.q * d[i] + step.r * before[i];
      }
      before = d;
    }
    const bool x0 = spec_.reading == Reading::kX0;
    std::vector<double> out = Affine(weights_.up_weight, Zeros(x.size()), x0 ? phi : sum);
    for (size_t i = 0; i < x.size(); ++i) {
      const double scale = x0 ? 1.0 : table.direction_sum;
      out[i] += scale * weights_.up_bias[i] + table.initial_weight * x[i] + weights_.context[i];
    }
    return out;
  }

 private:
  using Vector = std::vector<double>;
  static Vector Zeros(size_t count) { return Vector(count, 0.0); }

  template <typename Weight, typename Bias>
  static Vector Affine(const Weight& weight, const Bias& bias, const Vector& in) {
    Vector out(bias.begin(), bias.end());
    for (size_t j = 0; j < out.size(); ++j) {
      for (size_t k = 0; k < in.size(); ++k) out[j] += double{weight[j * in.size() + k]} * in[k];
    }
    return out;
  }

  static double SiluOf(double x) { return x / (1 + std::exp(-x)); }

  Vector Phi(const Vector& y, int64_t t) const {
    const auto from = features_.begin() + t * spec_.time_features;
    Vector inner = Affine(weights_.time_in_weight, weights_.time_in_bias,
                          Vector(from, from + spec_.time_features));
    for (double& value : inner) value = SiluOf(value);
    Vector a = Affine(weights_.time_out_weight, weights_.time_out_bias, inner);
    for (size_t i = 0; i < a.size(); ++i) a[i] = SiluOf(a[i] + y[i] + weights_.down_bias[i]);
    for (const DenoiserWeights::Layer& layer : weights_.hidden) {
      const Vector next = Affine(layer.weight, layer.bias, a);
      for (size_t i = 0; i < a.size(); ++i) a[i] += SiluOf(next[i]);
    }
    return a;
  }

  const DenoiserSpec& spec_;
  const DenoiserWeights& weights_;
  Vector matrix_, offset_;
  std::vector<float> features_;
};

}  // namespace ddpt
