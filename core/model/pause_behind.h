#pragma once

#include <ATen/core/Tensor.h>

namespace ddpt {

// A pause point (core/base/pause.h) here, and another when the gradient of `x` comes by, if it is
// on this thread: a processor's backward is, a GPU's is not.
void PauseBehind(const at::Tensor& x);

}  // namespace ddpt
