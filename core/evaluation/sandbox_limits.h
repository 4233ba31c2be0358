#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ddpt {

// What one sandboxed process and all that it starts may use.
struct SandboxLimits {
  uint32_t seconds = 5;               // of the clock; of the processor each process has one more
  uint64_t memory_bytes = 256 << 20;  // address space of each process
  uint32_t processes = 16;            // and threads, at a time
  uint64_t disk_bytes = 16 << 20;     // of the working directory, and of a single file
  uint32_t files = 256;               // and folders in the working directory
  uint32_t descriptors = 64;          // of each process
  uint64_t output_bytes = 256 << 10;  // of standard output and error together

  bool operator==(const SandboxLimits&) const = default;
};

// As arguments of a command, in the order above, and back; none where they are not that.
std::vector<std::string> LimitArguments(const SandboxLimits& limits);
std::optional<SandboxLimits> ParseLimitArguments(const char* const* arguments, int count);

}  // namespace ddpt
