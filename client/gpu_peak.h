#pragma once

#include <string>

#include "core/model/geometry.h"

namespace ddpt {

// What a GPU ("cuda:N") can do at most, by what LibTorch makes of it; the best of several runs.
// Both block for less than a second, and throw LibTorch's exceptions where there is no such GPU.

// Operations a second (a fused multiply-add counts as two) of a product of two matrices of
// 8192 x 8192, in the dtype that a model of `dtype` multiplies in.
double MeasureGpuFlops(const std::string& device, ModelDtype dtype);

// Bytes a second, those read and those written, of the faster one of a sum over 2 GiB and a copy of
// them.
double MeasureGpuBandwidth(const std::string& device);

}  // namespace ddpt
