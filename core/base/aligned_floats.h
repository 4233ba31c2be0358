#pragma once

#include <cstddef>
#include <memory>
#include <new>

namespace ddpt {

// A float32 array aligned to cache lines, zeros at first. Movable; size fixed.
class AlignedFloats {
 public:
  AlignedFloats() = default;
  explicit AlignedFloats(size_t size);

  size_t size() const { return size_; }
  float* data() { return data_.get(); }
  const float* data() const { return data_.get(); }
  float& operator[](size_t i) { return data_[i]; }
  const float& operator[](size_t i) const { return data_[i]; }

 private:
  struct Free {
    void operator()(float* data) const { operator delete[](data, std::align_val_t{64}); }
  };
  size_t size_ = 0;
  std::unique_ptr<float[], Free> data_;
};

}  // namespace ddpt
