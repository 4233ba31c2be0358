#pragma once

#include <cstdint>
#include <optional>

namespace ddpt {

// Bytes that this process may still take: the system's estimate, or, in a container, what the limit
// of its control group leaves where that is less. Pages of files that can be given up count as
// free. Nothing where neither is told. Reads files, at once.
std::optional<uint64_t> FreeMemory();

// The most bytes that this process has had in memory.
uint64_t PeakMemory();

}  // namespace ddpt
