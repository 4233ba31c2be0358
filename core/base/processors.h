#pragma once

#include <cstddef>
#include <optional>
#include <string>

namespace ddpt {

// Processors that this thread may run on, or, in a container, as many as its control group lets it
// keep busy where those are fewer; at least 1. Reads a file, at once.
size_t UsableProcessors();

// Whole processors that a group with this `cpu.max` ("quota period" or "max period", microseconds)
// may keep busy, at least 1; nothing where there is no limit.
std::optional<size_t> ProcessorsOfQuota(const std::string& cpu_max);

}  // namespace ddpt
