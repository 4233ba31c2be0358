#include "core/base/aligned_floats.h"

#include <algorithm>

namespace ddpt {

AlignedFloats::AlignedFloats(size_t size)
    : size_(size),
      data_(static_cast<float*>(operator new[](size * sizeof(float), std::align_val_t{64}))) {
  std::fill_n(data_.get(), size, 0.0f);
}

}  // namespace ddpt
