#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/tensor.h"

namespace ddpt {

// What the JSON header of a safetensors file says of one tensor.
struct SafetensorsEntry {
  std::string name;
  std::optional<DataType> dtype;  // none: a known type that is not read
  std::vector<int64_t> shape;
  uint64_t begin = 0;  // offsets into the data
  uint64_t end = 0;
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;  // in the order of their data, without holes or overlap
  std::map<std::string, std::string> metadata;
};

inline constexpr size_t kMaxSafetensorsTensors = 65536;
inline constexpr size_t kMaxSafetensorsRank = 8;

// "F32", "F16", "BF16": the name of `dtype` in the header.
std::string_view SafetensorsTypeName(DataType dtype);

// Reads and checks the header of a file with `data_bytes` of data as SafetensorsFile promises.
// Reading stops at the first error, so time and memory are linear in the text even for a hostile
// one. INVALID_ARGUMENT names the tensor and the lie. Pure, thread-safe.
absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(std::string_view text,
                                                         uint64_t data_bytes);

}  // namespace ddpt
