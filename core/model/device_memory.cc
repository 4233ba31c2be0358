#include "core/model/device_memory.h"

#include <c10/core/CachingDeviceAllocator.h>

#include <exception>

#include "core/base/device.h"

namespace ddpt {
namespace {

// Nothing where LibTorch has not used a GPU yet, or has none.
c10::DeviceAllocator* AllocatorOf(int device) {
  if (device == kCpu) return nullptr;
  auto* allocator = dynamic_cast<c10::DeviceAllocator*>(c10::GetAllocator(c10::kCUDA));
  return allocator != nullptr && allocator->initialized() ? allocator : nullptr;
}

c10::DeviceIndex Index(int device) { return static_cast<c10::DeviceIndex>(device); }

}  // namespace

std::optional<DeviceMemory> ReadDeviceMemory(int device) try {
  c10::DeviceAllocator* allocator = AllocatorOf(device);
  if (allocator == nullptr) return std::nullopt;
  const auto [free, total] = allocator->getMemoryInfo(Index(device));
  return DeviceMemory{.used = total - free, .total = total};
} catch (const std::exception&) {
  return std::nullopt;
}

uint64_t PeakDeviceMemory(int device) {
  c10::DeviceAllocator* allocator = AllocatorOf(device);
  if (allocator == nullptr) return 0;
  return static_cast<uint64_t>(allocator->getDeviceStats(Index(device)).allocated_bytes[0].peak);
}

void ForgetPeakDeviceMemory(int device) {
  if (c10::DeviceAllocator* allocator = AllocatorOf(device)) {
    allocator->resetPeakStats(Index(device));
  }
}

}  // namespace ddpt
