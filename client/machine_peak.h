#pragma once

#include <cstddef>

namespace ddpt {

// What this machine can do at most, measured by loops that do nothing else; the best of several
// runs. Both block for about a quarter of a second and use `threads` threads, each on its own data.

// float32 operations a second (a fused multiply-add counts as two), of the widest instructions that
// the processor has, on registers only.
double MeasureFlops(size_t threads);

// Bytes a second that all threads together read, each summing its own `bytes` of memory again and
// again: the bandwidth of whichever cache or memory holds them.
double MeasureReadBandwidth(size_t threads, size_t bytes);

}  // namespace ddpt
