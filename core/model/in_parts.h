#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"

namespace ddpt {

// A tensor of this shape, computed in parts that the helpers of this thread's TeamScope share: its
// last dimension is cut into `units`, and part(first, count) gives those from `first` on. In one
// part where there is no scope, on a GPU, where gradients are recorded, or where the multiply-adds
// are few. How it is cut does not depend on the helpers there are, so neither does any bit. `part`
// may be called on other threads.
at::Tensor InParts(const std::vector<int64_t>& shape, const at::TensorOptions& options,
                   int64_t units, int64_t multiply_adds,
                   absl::FunctionRef<at::Tensor(int64_t first, int64_t count)> part);

}  // namespace ddpt
