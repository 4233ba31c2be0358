#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/tensor.h"

namespace ddpt {

// What the pickle of a state dict says of one tensor.
struct PickledTensor {
  std::string name;
  std::optional<DataType> dtype;  // none: a type that is not read (integers, booleans, float64)
  size_t element_size = 0;        // bytes
  std::string storage;            // its key in the archive
  uint64_t storage_elements = 0;
  uint64_t offset = 0;  // elements into the storage
  std::vector<int64_t> shape;
  std::vector<int64_t> stride;  // elements
};

// Reads data.pkl of a file that torch.save wrote of a state dict: a dictionary of tensors or
// parameters. Nothing is executed: of pickle's operations (protocol 2) only those that such a file
// needs are known, of its globals only OrderedDict, the storages and the two functions that rebuild
// tensors; anything else is INVALID_ARGUMENT by name. Time and memory are linear in the text: at
// most 64 MiB of it, 4,194,304 values and 65,536 tensors of rank 8. In the file's order. Pure,
// thread-safe.
absl::StatusOr<std::vector<PickledTensor>> ReadTorchPickle(std::string_view text);

}  // namespace ddpt
