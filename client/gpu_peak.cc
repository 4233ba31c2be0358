#include "client/gpu_peak.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <functional>

namespace ddpt {
namespace {

constexpr int kRuns = 5, kRepeats = 4;

// How often a second `work` can be done. Reading a number of `done` waits until it is.
double BestRate(const at::Tensor& done, const std::function<void()>& work) {
  const auto wait = [&] { done.flatten()[0].item(); };
  work();
  wait();
  double best = 0;
  for (int run = 0; run < kRuns; ++run) {
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < kRepeats; ++i) work();
    wait();
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
    best = std::max(best, kRepeats / time.count());
  }
  return best;
}

at::ScalarType TypeOf(ModelDtype dtype) {
  if (dtype == ModelDtype::kFloat32) return at::kFloat;
  return dtype == ModelDtype::kFloat16 ? at::kHalf : at::kBFloat16;
}

}  // namespace

double MeasureGpuFlops(const std::string& device, ModelDtype dtype) {
  constexpr int64_t kSide = 8192;
  const auto options = at::TensorOptions().device(at::Device(device)).dtype(TypeOf(dtype));
  const at::Tensor a = at::randn({kSide, kSide}, options), b = at::randn({kSide, kSide}, options);
  at::Tensor product = at::empty({kSide, kSide}, options);
  return 2.0 * kSide * kSide * kSide * BestRate(product, [&] { at::mm_out(product, a, b); });
}

double MeasureGpuBandwidth(const std::string& device) {
  constexpr int64_t kFloats = int64_t{1} << 29;
  const auto options = at::TensorOptions().device(at::Device(device)).dtype(at::kFloat);
  const at::Tensor from = at::ones({kFloats}, options);
  at::Tensor to = at::empty({kFloats}, options), sum = at::empty({}, options);
  const double summed = BestRate(sum, [&] { at::sum_out(sum, from, at::IntArrayRef{0}); });
  const double copied = BestRate(to, [&] { to.copy_(from); });
  return sizeof(float) * static_cast<double>(kFloats) * std::max(summed, 2 * copied);
}

}  // namespace ddpt
