#pragma once

#include <cstdint>

namespace ddpt {

// Bytes that this process may still take without driving others out: the system's estimate, or what
// its control group leaves where that is less; 0 where neither is told. Reads files, at once.
uint64_t FreeMemory();

// The most bytes that this process has had in memory.
uint64_t PeakMemory();

}  // namespace ddpt
