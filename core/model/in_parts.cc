#include "core/model/in_parts.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/GradMode.h>

#include <algorithm>

#include "core/base/team.h"

namespace ddpt {
namespace {

// Half a millisecond of a core. Below that, what LibTorch takes for each part is too much of it.
constexpr int64_t kWorthSharing = 8'000'000;
// One for each of a full team.
constexpr int64_t kParts = Team::kMaxHelpers + 1;

}  // namespace

at::Tensor InParts(const std::vector<int64_t>& shape, const at::TensorOptions& options,
                   int64_t units, int64_t multiply_adds,
                   absl::FunctionRef<at::Tensor(int64_t first, int64_t count)> part) {
  const bool shared = MayShareOut() && options.device().is_cpu() && !at::GradMode::is_enabled() &&
                      multiply_adds >= kWorthSharing;
  if (!shared) return part(0, units);
  const int64_t together = (units + kParts - 1) / kParts, width = shape.back() / units;
  const at::Tensor whole = at::empty(shape, options);
  ShareOut((units + together - 1) / together, [&](size_t i) {
    const c10::NoGradGuard no_grad;  // each thread has its own
    const int64_t first = static_cast<int64_t>(i) * together;
    const int64_t count = std::min(together, units - first);
    whole.narrow(-1, first * width, count * width).copy_(part(first, count));
  });
  return whole;
}

}  // namespace ddpt
