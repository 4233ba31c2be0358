#pragma once

#include <cstdint>
#include <optional>

namespace ddpt {

// Bytes of a GPU's memory; `used` is what all processes on it hold.
struct DeviceMemory {
  uint64_t used = 0;
  uint64_t total = 0;
};

// Of GPU `device`, see base/device.h; nothing for kCpu, in a build without CUDA, and where the
// driver does not answer. Thread-safe.
std::optional<DeviceMemory> ReadDeviceMemory(int device);

// The most bytes that tensors of this process have had on GPU `device` since it began or
// ForgetPeakDeviceMemory was called; 0 for kCpu. Thread-safe.
uint64_t PeakDeviceMemory(int device);
void ForgetPeakDeviceMemory(int device);

}  // namespace ddpt
