#include "core/model/weight_memory.h"

#include <ATen/ATen.h>
#include <sys/mman.h>

#include <algorithm>
#include <new>

namespace ddpt {
namespace {

constexpr size_t kHugePage = 2 << 20;
constexpr size_t kRegion = 32 * kHugePage;
constexpr size_t kLine = 64;

size_t RoundUp(size_t size, size_t unit) { return (size + unit - 1) / unit * unit; }

std::shared_ptr<char> NewRegion(size_t bytes) {
  constexpr std::align_val_t kAlignment{kHugePage};
  std::shared_ptr<char> region(static_cast<char*>(operator new(bytes, kAlignment)),
                               [](char* memory) { operator delete(memory, kAlignment); });
  // A wish; small pages serve, too.
  madvise(region.get(), bytes, MADV_HUGEPAGE);
  return region;
}

}  // namespace

at::Tensor WeightMemory::Empty(const std::vector<int64_t>& shape,
                               const at::TensorOptions& options) {
  if (!options.device().is_cpu()) return at::empty(shape, options);
  size_t bytes = options.dtype().itemsize();
  for (const int64_t size : shape) bytes *= static_cast<size_t>(size);
  bytes = RoundUp(std::max<size_t>(bytes, 1), kLine);
  if (bytes > left_) {
    left_ = RoundUp(std::max(bytes, kRegion), kHugePage);
    region_ = NewRegion(left_);
    end_ = region_.get() + left_;
  }
  char* const memory = end_ - left_;
  left_ -= bytes;
  return at::from_blob(
      memory, shape, [region = region_](void*) {}, options);
}

}  // namespace ddpt
