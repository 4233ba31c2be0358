#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace ddpt {

// Memory for the weights of a model on the processor, one behind the other in large regions on huge
// pages where the system offers them: a token reads all of them, at about twice the rate that small
// pages allow. Not thread-safe; the tensors outlive it.
class WeightMemory {
 public:
  // Uninitialised. On a GPU what at::empty gives.
  at::Tensor Empty(const std::vector<int64_t>& shape, const at::TensorOptions& options);

 private:
  std::shared_ptr<char> region_;
  char* end_ = nullptr;
  size_t left_ = 0;  // bytes at its end
};

}  // namespace ddpt
